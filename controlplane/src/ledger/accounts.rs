//! Accounts: opening them, and serving who asks.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Ledger,
    entry::Entry,
    member::{Belief, Member, MemberId, News},
    message::{Ask, Client},
};

/// An ask without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) member: MemberId,
    pub(super) want: f64,
    pub(super) since: Duration,
}

impl Ledger {
    /// A data plane wants tokens of a client and says what it has.
    pub(super) fn ask(&mut self, id: MemberId, ask: &Ask, acked: u64, now: Duration) {
        self.tallies.asks += 1;
        let Some(belief) = self.members.get(&id).map(Member::belief) else { return };
        let factor = self.factor;
        let entry = self.open(ask.client, now);
        if entry.has_holder(id) {
            entry.account(id, acked, factor, ask.tokens, 0.0);
        } else {
            first_contact(entry, id, ask, belief);
        }
        if let Some(holder) = entry.holder(id) {
            (holder.idle, holder.refused) = (false, false);
        }
        let want = if ask.want.is_finite() { ask.want.max(1.0) } else { 1.0 };
        self.serve_or_wait(ask.client.key, Waiter { member: id, want, since: now }, now);
    }

    /// The account of a client, up to date; a new one for a client that was free.
    pub(super) fn open(&mut self, client: Client, now: Duration) -> &mut Entry {
        let Self { entries, journal, marks, members, orphans, factor, empty_since, .. } = self;
        let entry = entries.entry(client.key).or_insert_with(|| {
            let total = existing_of_free(members, *factor, *empty_since, client, now);
            marks.add(client.key);
            let mut entry = Entry::new(client, total, marks.newest(), journal.newest(), now);
            if empty_since.is_some() {
                // What is set aside for those who are missing they have, and say what became of it.
                (entry.replayed, entry.withheld) = (true, (*factor * client.capacity - total).max(0.0));
            }
            entry
        });
        if journal.tell(client.key, entry) {
            orphans.push_back(client.key);
        }
        entry.settle(*factor, now);
        entry.retune(client, *factor);
        entry
    }

    /// An account, up to date. Nothing of it means anything before it is.
    pub(super) fn look(&mut self, key: u64, now: Duration) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&key)?;
        if self.journal.tell(key, entry) {
            self.orphans.push_back(key);
        }
        entry.settle(self.factor, now);
        Some(entry)
    }

    /// Answers an ask, after those of others for the same client.
    fn serve_or_wait(&mut self, key: u64, waiter: Waiter, now: Duration) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.retain(|other| other.member != waiter.member);
            waiting.push(waiter);
            self.serve(key, now);
        } else if !self.answer(key, waiter, now) {
            self.waiting.insert(key, vec![waiter]);
        }
    }

    /// Answers who waits for tokens of a client, as far as that is possible now.
    pub(super) fn serve(&mut self, key: u64, now: Duration) {
        if self.look(key, now).is_none() {
            self.waiting.remove(&key);
        }
        while let Some(waiter) = self.waiting.get(&key).and_then(|waiting| waiting.first().copied()) {
            if !self.answer(key, waiter, now) {
                return;
            }
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.remove(0);
            }
        }
        self.waiting.remove(&key);
    }

    /// All who wait.
    pub(super) fn serve_all(&mut self, now: Duration) {
        let keys: Vec<_> = self.waiting.keys().copied().collect();
        keys.into_iter().for_each(|key| self.serve(key, now));
    }

    /// A data plane waits no longer, but for these (sorted).
    pub(super) fn stop_waiting(&mut self, id: MemberId, but_for: &[u64]) {
        self.waiting.retain(|key, waiting| {
            waiting.retain(|waiter| waiter.member != id || but_for.binary_search(key).is_ok());
            !waiting.is_empty()
        });
    }

    /// What follows from an acknowledgement.
    pub(super) fn acknowledged(&mut self, id: MemberId, news: News, now: Duration) {
        self.welcomed(id, now);
        if let Some((marks, share)) = news.marks {
            self.forget_stale_shares(id, marks, share, now);
            self.serve_all(now);
            self.upgrade(now);
        }
        self.shares_are_stale |= news.shrunk || news.welcomed;
    }
}

/// Tokens that exist of a client without an account.
fn existing_of_free(
    members: &BTreeMap<MemberId, Member>,
    factor: f64,
    empty_since: Option<Duration>,
    client: Client,
    now: Duration,
) -> f64 {
    let most = factor * client.capacity;
    let Some(since) = empty_since else { return most };
    let shares: f64 = members.values().filter(|m| m.counts()).map(|m| m.share).sum();
    let gained = now.saturating_sub(since).as_secs_f64() * client.rate_per_sec * factor;
    (shares * client.capacity + gained).min(most)
}

/// A data plane that believed in its standing share until now says what it spent of it.
fn first_contact(entry: &mut Entry, id: MemberId, ask: &Ask, belief: Belief) {
    // Who knew that the client is not free had no share.
    let share = if belief.marks_acked < entry.mark { belief.share * entry.capacity } else { 0.0 };
    let spent = ask.spent.clamp(0.0, share);
    let tokens = ask.tokens.clamp(0.0, share - spent);
    // What is neither spent nor kept it does not count on any more; where it never did, that does not come back.
    entry.total -= if belief.knowledge.is_stale_about(entry) { share - tokens } else { spent };
    entry.add_holder(id, tokens);
}
