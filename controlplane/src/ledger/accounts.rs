//! Moving tokens: asks, grants, recalls, returns.

use std::{cmp::Reverse, time::Duration};

use super::{
    Ledger,
    entry::{EPSILON, Entry, Waiter, seconds},
    member::{Member, MemberId, News},
    message::{Ask, Client, Grant, Return},
};

/// A data plane is told to wait at least and at most so long for the next token.
const RETRY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));
/// How soon to look again whether an account is free that is full but still in use.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Ledger {
    /// A data plane wants tokens of a client and says what it has.
    pub(super) fn ask(&mut self, id: MemberId, ask: &Ask, acked: u64, now: Duration) {
        self.tallies.asks += 1;
        let factor = self.factor;
        let entry = self.open(ask.client, now);
        entry.settle(factor, now);
        entry.retune(ask.client);
        if entry.has_holder(id) {
            entry.account(id, acked, ask.tokens, 0.0);
        } else {
            self.first_contact(id, ask, now);
        }
        let key = ask.client.key;
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if let Some(holder) = entry.holder(id) {
            (holder.idle, holder.refused) = (false, false);
        }
        entry.waiting.retain(|waiter| waiter.member != id);
        let want = if ask.want.is_finite() { ask.want.max(1.0) } else { 1.0 };
        entry.waiting.push(Waiter { member: id, want, since: now });
        self.waiting.insert(key);
        self.serve(key, now);
    }

    /// The account of a client; a new one for a client that was free.
    pub(super) fn open(&mut self, client: Client, now: Duration) -> &mut Entry {
        let (total, doubtful) = (self.existing_of_free(client, now), self.empty_since.is_some());
        self.entries.entry(client.key).or_insert_with(|| {
            self.marks.add(client.key);
            self.orphans.insert(client.key);
            let withheld = if doubtful { (client.capacity - total).max(0.0) } else { 0.0 };
            Entry { replayed: doubtful, withheld, ..Entry::new(client, total, self.marks.newest(), now) }
        })
    }

    /// Tokens that exist of a client without an account.
    fn existing_of_free(&self, client: Client, now: Duration) -> f64 {
        let most = self.factor * client.capacity;
        let Some(since) = self.empty_since else { return most };
        let shares: f64 = self.members.values().filter(|m| m.counts()).map(|m| m.share).sum();
        let gained = now.saturating_sub(since).as_secs_f64() * client.rate_per_sec * self.factor;
        (shares * client.capacity + gained).min(most)
    }

    /// A data plane that believed in its standing share until now says what it spent of it.
    fn first_contact(&mut self, id: MemberId, ask: &Ask, now: Duration) {
        let Some(member) = self.members.get(&id) else { return };
        let Some(entry) = self.entries.get_mut(&ask.client.key) else { return };
        // Who knew that the client is not free had no share.
        let share = if member.marks_acked < entry.mark { member.share * entry.largest } else { 0.0 };
        let spent = ask.spent.clamp(0.0, share);
        let tokens = ask.tokens.clamp(0.0, share - spent);
        // What is neither spent nor kept it does not count on any more; where it never did, that does not come back.
        entry.total -= if member.knowledge.is_stale_about(entry) { share - tokens } else { spent };
        entry.add_holder(id, tokens);
        self.orphans.remove(&ask.client.key);
        self.look_at(ask.client.key, now + LOOK_AGAIN);
    }

    /// Answers who waits for tokens of a client, as far as that is possible now.
    pub(super) fn serve(&mut self, key: u64, now: Duration) {
        let factor = self.factor;
        let Some(entry) = self.entries.get_mut(&key) else {
            self.waiting.remove(&key);
            return;
        };
        entry.settle(factor, now);
        self.recall(key);
        while let Some(waiter) = self.entries.get(&key).and_then(|entry| entry.waiting.first().copied()) {
            if !self.answer(key, waiter, now) {
                return;
            }
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.waiting.remove(0);
            }
        }
        self.waiting.remove(&key);
    }

    /// Asks who holds the whole bucket to give it up, if others want of it.
    fn recall(&mut self, key: u64) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(holder) = entry.holders.iter().position(|holder| holder.whole) else { return };
        let member = entry.holders[holder].member;
        if entry.holders[holder].recalled || entry.waiting.iter().all(|waiter| waiter.member == member) {
            return;
        }
        let Some(member) = self.members.get_mut(&member).filter(|m| m.is_served()) else { return };
        // Of one response, recalls are applied before grants: not in the one that hands the bucket over.
        if entry.holders[holder].in_flight.iter().any(|(seq, _)| *seq == member.next_seq()) {
            return;
        }
        member.draft.recalls.push(key);
        entry.holders[holder].recalled = true;
        self.tallies.recalls += 1;
    }

    /// Answers one ask; false: it must wait.
    fn answer(&mut self, key: u64, waiter: Waiter, now: Duration) -> bool {
        let Some(entry) = self.entries.get(&key) else { return true };
        let reserved = self.reserved(entry);
        let late = now.saturating_sub(waiter.since) >= self.timing.patience;
        if entry.is_whole() {
            let own = entry.holders.iter().any(|holder| holder.whole && holder.member == waiter.member);
            // Its own grant is on its way.
            return own || (late && self.refuse(key, waiter, RETRY.0));
        }
        let available = entry.total - entry.held() - reserved;
        let alone = entry.is_used_by(waiter.member);
        if alone && reserved <= 0.0 && available >= -EPSILON {
            return self.hand_over(key, waiter, available);
        }
        if available >= 1.0 - EPSILON {
            if alone {
                // The rest follows when all others have said that they count on no share.
                self.upgrades.insert(key, waiter.member);
            }
            return self.grant_part(key, waiter, available, alone);
        }
        let wait = until_a_token(entry, available, self.factor);
        // Others may be about to say that they count on their share no more, or to give back what they do not need.
        let coming = reserved > 0.0 || (wait > self.timing.patience && self.recall_parts(key, waiter.member));
        (!coming || late) && self.refuse(key, waiter, wait)
    }

    /// Asks others for what they do not need, where the next token is long in coming. False: they have nothing.
    fn recall_parts(&mut self, key: u64, wanted_by: MemberId) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let mut coming = false;
        for holder in entry.holders.iter_mut().filter(|h| h.member != wanted_by && h.upper >= 1.0 - EPSILON) {
            let Some(member) = self.members.get_mut(&holder.member).filter(|m| m.is_served()) else { continue };
            let just_granted = holder.in_flight.iter().any(|(seq, _)| *seq == member.next_seq());
            coming |= holder.recalled || !just_granted;
            if !holder.recalled && !just_granted {
                member.draft.recalls.push(key);
                holder.recalled = true;
                self.tallies.recalls += 1;
            }
        }
        coming
    }

    /// Standing shares that data planes may still believe in.
    fn reserved(&self, entry: &Entry) -> f64 {
        let believes =
            |(id, m): &(&MemberId, &Member)| m.counts() && m.marks_acked < entry.mark && !entry.has_holder(**id);
        let shares: f64 = self.members.iter().filter(believes).map(|(_, m)| m.share).sum();
        shares * entry.largest
    }

    /// Gives the whole bucket to the only one who uses it.
    fn hand_over(&mut self, key: u64, waiter: Waiter, available: f64) -> bool {
        let (Some(entry), Some(member)) = (self.entries.get_mut(&key), self.members.get_mut(&waiter.member)) else {
            return true;
        };
        let tokens = available.max(0.0);
        let Some(holder) = entry.holder(waiter.member) else { return true };
        holder.in_flight.push((member.next_seq(), tokens));
        (holder.whole, holder.recalled) = (true, false);
        holder.upper += tokens;
        member.grant(Grant { key, tokens, whole: true, retry: Duration::ZERO, remember: None });
        self.tallies.whole_grants += 1;
        true
    }

    /// Hands over the buckets of those who are still the only ones to use them, now that nobody counts on a share.
    pub(super) fn upgrade(&mut self, now: Duration) {
        let factor = self.factor;
        for (key, member) in std::mem::take(&mut self.upgrades) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.settle(factor, now);
            let Some(entry) = self.entries.get(&key) else { continue };
            let served = self.members.get(&member).is_some_and(Member::is_served);
            let asks = entry.holders.iter().any(|holder| holder.member == member && !holder.idle);
            if !served || !asks || entry.is_whole() || !entry.is_used_by(member) || !entry.waiting.is_empty() {
                continue;
            }
            if self.reserved(entry) > 0.0 {
                self.upgrades.insert(key, member);
                continue;
            }
            let available = entry.total - entry.held();
            if available >= -EPSILON {
                self.hand_over(key, Waiter { member, want: 1.0, since: now }, available);
            }
        }
    }

    /// Gives a batch: what is wanted, but not what others want.
    fn grant_part(&mut self, key: u64, waiter: Waiter, available: f64, alone: bool) -> bool {
        let (Some(entry), Some(member)) = (self.entries.get_mut(&key), self.members.get_mut(&waiter.member)) else {
            return true;
        };
        let users = entry.holders.iter().filter(|holder| !holder.idle).count().max(1);
        let fair = (available / users as f64).max(1.0);
        let wanted = if alone { available } else { waiter.want.min(fair) };
        let tokens = wanted.min(available + EPSILON).floor().max(1.0);
        let Some(holder) = entry.holder(waiter.member) else { return true };
        holder.in_flight.push((member.next_seq(), tokens));
        holder.upper += tokens;
        member.grant(Grant { key, tokens, whole: false, retry: Duration::ZERO, remember: None });
        self.tallies.grants += 1;
        true
    }

    fn refuse(&mut self, key: u64, waiter: Waiter, retry: Duration) -> bool {
        if let Some(holder) = self.entries.get_mut(&key).and_then(|entry| entry.holder(waiter.member)) {
            holder.refused = true;
        }
        if let Some(member) = self.members.get_mut(&waiter.member) {
            let retry = retry.clamp(RETRY.0, RETRY.1);
            member.grant(Grant { key, tokens: 0.0, whole: false, retry, remember: None });
            self.tallies.refusals += 1;
        }
        true
    }

    /// A data plane gives tokens back.
    pub(super) fn take_back(&mut self, id: MemberId, returned: &Return, acked: u64, now: Duration) {
        self.tallies.returns += 1;
        let factor = self.factor;
        let Some(entry) = self.entries.get_mut(&returned.key) else { return };
        entry.settle(factor, now);
        let Some(holder) = entry.holder(id) else { return };
        let crossed = holder.is_sent_more_than(acked);
        if !holder.whole {
            entry.account(id, acked, returned.kept, returned.tokens);
        } else if crossed {
            self.send_back(id, returned, acked);
        } else {
            entry.break_up(id, factor, returned.tokens, returned.kept, now);
        }
        if let Some(holder) = self.entries.get_mut(&returned.key).and_then(|entry| entry.holder(id)) {
            holder.idle = returned.idle && !crossed;
            holder.recalled &= holder.whole;
        }
        self.look_at(returned.key, now);
        if self.waiting.contains(&returned.key) {
            self.serve(returned.key, now);
        } else {
            self.offer(returned.key, now);
        }
    }

    /// Tokens came back from who does not know yet that it has the whole bucket: they belong to it, and go there again.
    fn send_back(&mut self, id: MemberId, returned: &Return, acked: u64) {
        let holder = self.entries.get_mut(&returned.key).and_then(|entry| entry.holder(id));
        let (Some(holder), Some(member)) = (holder, self.members.get_mut(&id)) else { return };
        let tokens = returned.tokens.clamp(0.0, (holder.upper - holder.on_its_way(acked)).max(0.0));
        if tokens <= EPSILON {
            return;
        }
        holder.in_flight.push((member.next_seq(), tokens));
        // If it has been told to give the bucket back, what it says to that does not know of these.
        holder.recalled = false;
        member.grant(Grant { key: returned.key, tokens, whole: true, retry: Duration::ZERO, remember: None });
    }

    /// Gives what came back to who was told that there is nothing.
    fn offer(&mut self, key: u64, now: Duration) {
        let Some(entry) = self.entries.get(&key).filter(|entry| !entry.is_whole()) else { return };
        let available = entry.total - entry.held() - self.reserved(entry);
        let refused = entry.holders.iter().find(|holder| holder.refused && !holder.idle).map(|holder| holder.member);
        let Some(member) = refused.filter(|_| available >= 1.0 - EPSILON) else { return };
        if let Some(holder) = self.entries.get_mut(&key).and_then(|entry| entry.holder(member)) {
            holder.refused = false;
        }
        self.grant_part(key, Waiter { member, want: 1.0, since: now }, available, false);
    }

    /// What follows from an acknowledgement.
    pub(super) fn acknowledged(&mut self, id: MemberId, news: News, now: Duration) {
        if news.welcomed {
            self.welcomed(id, now);
        }
        if let Some((marks, share)) = news.marks {
            self.forget_stale_shares(id, marks, share);
            let waiting: Vec<_> = self.waiting.iter().copied().collect();
            waiting.into_iter().for_each(|key| self.serve(key, now));
            self.upgrade(now);
        }
        self.shares_are_stale |= news.shrunk || news.welcomed;
    }

    /// To look at an account at a time.
    pub(super) fn look_at(&mut self, key: u64, at: Duration) {
        self.due.push(Reverse((at, key)));
    }

    /// Closes the accounts that are full and that nobody uses.
    pub(super) fn free_the_full(&mut self, now: Duration) {
        while let Some(Reverse((at, key))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            debug_assert!(at <= now, "only what is due");
            let factor = self.factor;
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.settle(factor, now);
            if entry.is_free() {
                self.entries.remove(&key);
                self.orphans.remove(&key);
                self.marks.remove(key);
            } else if let Some(again) = look_again(entry, factor, now) {
                self.look_at(key, again);
            }
        }
    }
}

/// When an account may be free; `None`: not before something else happens to it.
fn look_again(entry: &Entry, factor: f64, now: Duration) -> Option<Duration> {
    let held = entry.holders.iter().any(|holder| holder.whole || holder.upper > EPSILON || !holder.idle);
    if held || factor < 1.0 { None } else { Some(entry.full_at()?.max(now + Duration::from_millis(1))) }
}

/// How long until there is a token; the longest wait where that is not known.
fn until_a_token(entry: &Entry, available: f64, factor: f64) -> Duration {
    let rate = entry.client.rate_per_sec * factor;
    if rate > 0.0 { seconds((1.0 - available).max(0.0) / rate) } else { RETRY.1 }
}
