//! A data plane that comes back says what it has.

use std::time::Duration;

use super::{
    Ledger,
    entry::{EPSILON, Entry},
    in_flight::InFlight,
    journal::What,
    member::{Belief, MemberId, Standing},
    message::{Holding, Join},
};

impl Ledger {
    /// A data plane that comes back says what it has: what it was sent and did not get is lost.
    pub(super) fn replay(&mut self, id: MemberId, mut join: Join, now: Duration) {
        // Accounts that are neighbours are looked up in the same memory.
        join.holdings.sort_unstable_by_key(|holding| holding.client.key);
        let held: Vec<u64> = join.holdings.iter().map(|holding| holding.client.key).collect();
        let at_once = held.len() <= self.timing.accounts_per_tick;
        // Before it is heard out nothing is given to it; it asks anew.
        self.stop_waiting(id, if at_once { &held } else { &[] });
        self.tell_all(What::CameBack(id, held.into()), now);
        if let Some(member) = self.members.get_mut(&id) {
            member.to_replay = join.holdings.into();
        }
        self.replay_some(id, now);
    }

    /// Goes on with the first of those who are not heard out. Others are served in between.
    pub(super) fn replay_more(&mut self, now: Duration) {
        if let Some(id) = self.members.iter().find(|(_, m)| !m.to_replay.is_empty()).map(|(id, _)| *id) {
            self.replay_some(id, now);
        }
    }

    fn replay_some(&mut self, id: MemberId, now: Duration) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let count = member.to_replay.len().min(self.timing.accounts_per_tick);
        let some: Vec<Holding> = member.to_replay.drain(..count).collect();
        self.shares_are_stale |= member.to_replay.is_empty();
        some.iter().for_each(|holding| self.replay_one(id, holding, now));
    }

    fn replay_one(&mut self, id: MemberId, holding: &Holding, now: Duration) {
        let Some(member) = self.members.get(&id) else { return };
        let (returning, belief, factor) = (member.standing == Standing::Returning, member.belief(), self.factor);
        let entry = self.open(holding.client, now);
        if holding.known {
            entry.withheld = 0.0;
        }
        let tokens = holding.tokens.clamp(0.0, entry.capacity);
        if entry.has_holder(id) {
            resume(entry, id, holding.whole, tokens, returning, factor, now);
        } else {
            claim(entry, id, tokens, returning, belief);
        }
        // Whatever it has beyond what it may have, it must give up before its lease goes on.
        let excess = entry
            .holder(id)
            .is_some_and(|holder| !holder.whole && (holding.whole || holding.tokens > holder.upper + EPSILON));
        if let Some(member) = self.members.get_mut(&id).filter(|_| excess) {
            member.draft.recalls.push(holding.client.key);
        }
    }
}

/// A data plane holds something that the ledger did not know of.
fn claim(entry: &mut Entry, id: MemberId, tokens: f64, returning: bool, belief: Belief) {
    let had = belief.share * entry.capacity;
    if returning {
        // Until now it was covered by what is set aside.
        let tokens = tokens.min(had);
        entry.total += tokens;
        entry.add_holder(id, tokens).idle = true;
    } else if belief.marks_acked < entry.mark {
        let tokens = tokens.min(had);
        entry.total -= had - tokens;
        entry.add_holder(id, tokens);
    } else {
        entry.add_holder(id, 0.0).idle = true;
    }
}

/// A holder's stream is a new one: what was on its way to it in the old one never comes.
fn resume(entry: &mut Entry, id: MemberId, whole: bool, tokens: f64, returning: bool, factor: f64, now: Duration) {
    let Some(holder) = entry.holder(id) else { return };
    let was_whole = holder.whole;
    holder.in_flight = InFlight::Nothing;
    holder.recalled = false;
    if was_whole && !whole {
        entry.break_up(id, factor, 0.0, tokens, now);
    } else if !was_whole {
        let before = holder.upper;
        // A data plane that was alone may have made tokens of what is set aside for it.
        holder.upper = if returning { tokens } else { tokens.min(before) };
        let change = holder.upper - before;
        entry.total += change;
    }
}
