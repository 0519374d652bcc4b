//! What becomes of tokens that data planes give back.

use std::time::Duration;

use super::{
    Ledger,
    accounts::Waiter,
    entry::EPSILON,
    member::{Member, MemberId},
    message::{Grant, Return},
};

impl Ledger {
    /// A data plane gives tokens back.
    pub(super) fn take_back(&mut self, id: MemberId, returned: &Return, acked: u64, now: Duration) {
        self.tallies.returns += 1;
        let (key, factor) = (returned.key, self.factor);
        let Some(entry) = self.look(key, now) else { return };
        let Some(holder) = entry.holder(id) else { return };
        let crossed = holder.in_flight.is_any_beyond(acked);
        if !holder.whole {
            entry.account(id, acked, factor, returned.kept, returned.tokens);
        } else if crossed {
            self.send_back(id, returned, acked);
        } else {
            entry.break_up(id, factor, returned.tokens, returned.kept, now);
        }
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if let Some(holder) = entry.holder(id) {
            holder.idle = returned.idle && !crossed;
            holder.recalled &= holder.whole;
        }
        if entry.is_free() {
            self.full.push(key);
        }
        if self.waiting.contains_key(&key) {
            self.serve(key, now);
        } else {
            self.offer(key, now);
        }
    }

    /// Tokens came back from who does not know yet that it has the whole bucket: they belong to it, and go there again.
    fn send_back(&mut self, id: MemberId, returned: &Return, acked: u64) {
        let holder = self.entries.get_mut(&returned.key).and_then(|entry| entry.holder(id));
        let (Some(holder), Some(member)) = (holder, self.members.get_mut(&id)) else { return };
        let tokens = returned.tokens.clamp(0.0, (holder.upper - holder.in_flight.tokens_beyond(acked)).max(0.0));
        // Also where there are none: it may have broken up the bucket without acknowledging that, while it had more to say
        // than goes into one request. What it says next knows of this, so it is said once for each return.
        holder.in_flight.push(member.next_seq(), tokens, member.acked());
        // If it has been told to give the bucket back, what it says to that does not know of these.
        holder.recalled = false;
        member.grant(Grant { key: returned.key, tokens, whole: true, retry: Duration::ZERO, remember: None });
    }

    /// Gives what came back to who was told that there is nothing.
    fn offer(&mut self, key: u64, now: Duration) {
        let Some(entry) = self.entries.get(&key).filter(|entry| !entry.is_whole()) else { return };
        let available = entry.total - entry.held() - self.reserved(entry);
        let hears = |id| self.members.get(&id).is_some_and(Member::is_heard_out);
        let mut refused = entry.holders.iter().filter(|holder| holder.refused && !holder.idle);
        let refused = refused.find(|holder| hears(holder.member)).map(|holder| holder.member);
        let Some(member) = refused.filter(|_| available >= 1.0 - EPSILON) else { return };
        if let Some(holder) = self.entries.get_mut(&key).and_then(|entry| entry.holder(member)) {
            holder.refused = false;
        }
        self.grant_part(key, Waiter { member, want: 1.0, since: now }, available, false);
    }
}
