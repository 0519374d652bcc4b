//! Who gets how many tokens.

use std::time::Duration;

use super::{
    Ledger,
    accounts::Waiter,
    entry::{EPSILON, Entry, seconds},
    member::{Member, MemberId},
    message::Grant,
};

/// A data plane is told to wait at least and at most so long for the next token.
const RETRY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

impl Ledger {
    /// Asks who holds the whole bucket to give it up, if it is another one.
    fn recall(&mut self, key: u64, wanted_by: MemberId) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(holder) = entry.holders.iter_mut().find(|holder| holder.whole) else { return };
        if holder.recalled || holder.member == wanted_by {
            return;
        }
        let Some(member) = self.members.get_mut(&holder.member).filter(|m| m.is_served()) else { return };
        // Of one response, recalls are applied before grants: not in the one that hands the bucket over.
        if holder.in_flight.is_any_beyond(member.next_seq() - 1) {
            return;
        }
        member.draft.recalls.push(key);
        holder.recalled = true;
        self.tallies.recalls += 1;
    }

    /// Answers one ask; false: it must wait.
    pub(super) fn answer(&mut self, key: u64, waiter: Waiter, now: Duration) -> bool {
        self.recall(key, waiter.member);
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
                self.upgrades.insert((waiter.member, entry.mark, key));
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
            let just_granted = holder.in_flight.is_any_beyond(member.next_seq() - 1);
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
    pub(super) fn reserved(&self, entry: &Entry) -> f64 {
        let believes =
            |(id, m): &(&MemberId, &Member)| m.counts() && m.marks_acked < entry.mark && !entry.has_holder(**id);
        let shares: f64 = self.members.iter().filter(believes).map(|(_, m)| m.share).sum();
        shares * entry.capacity
    }

    /// Gives the whole bucket to the only one who uses it.
    fn hand_over(&mut self, key: u64, waiter: Waiter, available: f64) -> bool {
        let (Some(entry), Some(member)) = (self.entries.get_mut(&key), self.members.get_mut(&waiter.member)) else {
            return true;
        };
        let tokens = available.max(0.0);
        let Some(holder) = entry.holder(waiter.member) else { return true };
        holder.in_flight.push(member.next_seq(), tokens, member.acked());
        (holder.whole, holder.recalled) = (true, false);
        holder.upper += tokens;
        member.grant(Grant { key, tokens, whole: true, retry: Duration::ZERO, remember: None });
        self.tallies.whole_grants += 1;
        true
    }

    /// Hands over the buckets of those who are still the only ones to use them, now that nobody counts on a share.
    pub(super) fn upgrade(&mut self, now: Duration) {
        if self.upgrades.is_empty() {
            return;
        }
        let believers = self.members.iter().filter(|(_, m)| m.counts() && m.share > 0.0);
        let mut known: Vec<_> = believers.map(|(id, m)| (m.marks_acked, *id)).collect();
        known.sort_unstable();
        let mut from = (0, 0, 0);
        while let Some((owner, mark, key)) = self.upgrades.range(from..).next().copied() {
            let known_to_others = known.iter().find(|(_, id)| *id != owner).map_or(u64::MAX, |(acked, _)| *acked);
            if mark <= known_to_others {
                self.upgrades.remove(&(owner, mark, key));
                self.upgrade_one(key, owner, now);
            } else {
                from = (owner + 1, 0, 0);
            }
        }
    }

    fn upgrade_one(&mut self, key: u64, member: MemberId, now: Duration) {
        if self.waiting.contains_key(&key) || !self.members.get(&member).is_some_and(Member::is_heard_out) {
            return;
        }
        let Some(entry) = self.look(key, now) else { return };
        let alone = entry.is_asked_for_at(member) && entry.is_used_by(member) && !entry.is_whole();
        let available = entry.total - entry.held();
        if alone && available >= -EPSILON {
            self.hand_over(key, Waiter { member, want: 1.0, since: now }, available);
        }
    }

    /// Gives a batch: what is wanted, but not what others want.
    pub(super) fn grant_part(&mut self, key: u64, waiter: Waiter, available: f64, alone: bool) -> bool {
        let (Some(entry), Some(member)) = (self.entries.get_mut(&key), self.members.get_mut(&waiter.member)) else {
            return true;
        };
        let users = entry.holders.iter().filter(|holder| !holder.idle).count().max(1);
        let fair = (available / users as f64).max(1.0);
        let wanted = if alone { available } else { waiter.want.min(fair) };
        let tokens = wanted.min(available + EPSILON).floor().max(1.0);
        let Some(holder) = entry.holder(waiter.member) else { return true };
        holder.in_flight.push(member.next_seq(), tokens, member.acked());
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
}

/// How long until there is a token; the longest wait where that is not known.
fn until_a_token(entry: &Entry, available: f64, factor: f64) -> Duration {
    let rate = entry.rate_per_sec * factor;
    if rate > 0.0 { seconds((1.0 - available).max(0.0) / rate) } else { RETRY.1 }
}
