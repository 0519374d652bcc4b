//! Data planes come, go, fall silent and come back.

use std::time::Duration;

use super::{
    Ledger,
    entry::{EPSILON, Entry},
    member::{Knowledge, Member, MemberId, Standing},
    message::{Grant, Holding, Join, Terms},
};

impl Ledger {
    /// Begins a data plane's stream.
    pub(super) fn enter(&mut self, join: &Join, now: Duration) -> MemberId {
        let known = self.members.iter().find(|(_, m)| m.replica_id == join.replica_id).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.admit(join, now));
        let reborn = self.members.get(&id).is_some_and(|m| m.incarnation != join.incarnation && !m.missing);
        if reborn {
            self.bury(id, join, now);
        }
        let welcome = self.welcome();
        let (epoch, lease) = (self.epoch, self.timing.lease);
        if let Some(member) = self.members.get_mut(&id) {
            member.incarnation = join.incarnation;
            member.standing = match member.standing {
                Standing::Connected | Standing::Closed => Standing::Connected,
                Standing::Lost | Standing::Returning => Standing::Returning,
            };
            // While it joins it makes no tokens of its own.
            member.lease_floor = member.lease_floor.max(now + lease);
            if join.epoch != epoch && join.epoch != 0 {
                (member.knowledge, member.marks_acked) = (Knowledge::Late, 0);
            }
            member.begin_stream(welcome, now);
            if reborn {
                member.marks_sent = 0;
            }
        }
        id
    }

    fn admit(&mut self, join: &Join, now: Duration) -> MemberId {
        let id = self.next_member;
        self.next_member += 1;
        self.members.insert(id, Member::new(join.replica_id.clone(), join.incarnation, now));
        id
    }

    /// The process before is gone, and with it what it held and what it may have spent of its share.
    fn bury(&mut self, id: MemberId, join: &Join, now: Duration) {
        self.write_off(id, now);
        self.drop_shares(id, |_| true);
        let newest = self.marks.newest();
        if let Some(member) = self.members.get_mut(&id) {
            member.incarnation = join.incarnation;
            // A new process counts on nothing before it is told.
            member.marks_acked = if join.holdings.is_empty() { newest } else { 0 };
            if member.standing == Standing::Lost && join.holdings.is_empty() {
                (member.standing, member.share) = (Standing::Closed, 0.0);
            }
        }
        self.set_factor(now);
    }

    /// A data plane that comes back says what it has: what it was sent and did not get is lost.
    pub(super) fn replay(&mut self, id: MemberId, join: &Join, now: Duration) {
        let held: std::collections::BTreeSet<u64> = join.holdings.iter().map(|holding| holding.client.key).collect();
        let missing: Vec<u64> = self
            .entries
            .iter()
            .filter(|(key, e)| e.has_holder(id) && !held.contains(key))
            .map(|(key, _)| *key)
            .collect();
        missing.into_iter().for_each(|key| self.strike(key, id, now));
        for holding in &join.holdings {
            self.replay_one(id, holding, now);
        }
        self.shares_are_stale = true;
    }

    fn replay_one(&mut self, id: MemberId, holding: &Holding, now: Duration) {
        let (key, factor) = (holding.client.key, self.factor);
        let Some(member) = self.members.get(&id) else { return };
        let (returning, share) = (member.standing == Standing::Returning, member.share);
        let marks_acked = member.marks_acked;
        self.open(holding.client, now);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.settle(factor, now);
        entry.retune(holding.client);
        if holding.known {
            entry.withheld = 0.0;
        }
        let tokens = holding.tokens.clamp(0.0, entry.largest);
        if entry.has_holder(id) {
            resume(entry, id, holding.whole, tokens, returning, factor, now);
        } else if returning {
            // Until now it was covered by what is set aside.
            let tokens = tokens.min(share * entry.largest);
            entry.total += tokens;
            entry.add_holder(id, tokens).idle = true;
        } else if marks_acked < entry.mark {
            let had = share * entry.largest;
            let tokens = tokens.min(had);
            entry.total -= had - tokens;
            entry.add_holder(id, tokens);
        } else {
            entry.add_holder(id, 0.0).idle = true;
        }
        self.orphans.remove(&key);
        self.look_at(key, now);
        // Whatever it has beyond what it may have, it must give up before its lease goes on.
        let excess = self
            .entries
            .get_mut(&key)
            .and_then(|e| e.holder(id))
            .is_some_and(|holder| !holder.whole && (holding.whole || holding.tokens > holder.upper + EPSILON));
        if let Some(member) = self.members.get_mut(&id).filter(|_| excess) {
            member.draft.recalls.push(key);
        }
    }

    /// A data plane has its lease: if it was lost, it is not any more.
    pub(super) fn welcomed(&mut self, id: MemberId, now: Duration) {
        let returned = self.members.get_mut(&id).filter(|m| m.standing == Standing::Returning);
        let Some(member) = returned else { return };
        (member.standing, member.written_off) = (Standing::Connected, false);
        member.missing = false;
        let (share, acked) = (member.share, member.marks_acked);
        self.stop_doubting();
        self.set_factor(now);
        for entry in self.entries.values_mut().filter(|e| e.mark > acked && !e.has_holder(id)) {
            entry.total += share * entry.largest;
        }
    }

    /// Who was silent for too long is lost; what is not heard of while its lease lasts is spent.
    pub(super) fn judge(&mut self, now: Duration) {
        if self.recovery.is_some() {
            return;
        }
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            let Some(member) = self.members.get(&id) else { continue };
            let ended = now >= member.heard + self.timing.lease + self.timing.margin;
            match member.standing {
                Standing::Connected if now >= member.lease_floor => self.lose(id, now),
                Standing::Closed if ended => self.remove(id, now),
                Standing::Lost if ended && !member.written_off => self.write_off(id, now),
                Standing::Lost if ended => self.forget(id, now),
                _ => {}
            }
        }
    }

    fn lose(&mut self, id: MemberId, now: Duration) {
        self.drop_shares(id, |_| true);
        if let Some(member) = self.members.get_mut(&id) {
            (member.standing, member.lost_since, member.written_off) = (Standing::Lost, now, false);
        }
        self.tallies.lost += 1;
        self.set_factor(now);
    }

    /// Its stream ended and it did not come back: it is taken to be gone.
    fn remove(&mut self, id: MemberId, now: Duration) {
        self.write_off(id, now);
        self.drop_shares(id, |_| true);
        self.members.remove(&id);
        self.set_factor(now);
    }

    fn forget(&mut self, id: MemberId, now: Duration) {
        let over = self.members.get(&id).is_some_and(|member| {
            let silent = now.saturating_sub(member.lost_since);
            match member.missing {
                true => silent >= self.timing.forget_missing,
                false => member.share <= 0.0 || silent >= self.timing.forget_lost,
            }
        });
        if over {
            self.members.remove(&id);
            self.stop_doubting();
            self.set_factor(now);
        }
    }

    /// Once nobody of an earlier epoch is missing any more, a client that nobody spoke of is free.
    fn stop_doubting(&mut self) {
        if self.empty_since.is_none() || self.members.values().any(|member| member.missing) {
            return;
        }
        self.empty_since = None;
        for entry in self.entries.values_mut() {
            entry.total += std::mem::take(&mut entry.withheld);
        }
    }

    /// It says goodbye, having applied the responses up to `acked`: what it did not give back it did not have.
    pub(super) fn leave(&mut self, id: MemberId, acked: u64, now: Duration) {
        let held = self.held_by(id);
        held.into_iter().for_each(|key| self.let_go(key, now, |entry| entry.dismiss(id, acked, now)));
        self.members.remove(&id);
        self.set_factor(now);
    }

    fn write_off(&mut self, id: MemberId, now: Duration) {
        self.held_by(id).into_iter().for_each(|key| self.strike(key, id, now));
        if let Some(member) = self.members.get_mut(&id) {
            member.written_off = true;
        }
    }

    fn held_by(&self, id: MemberId) -> Vec<u64> {
        self.entries.iter().filter(|(_, e)| e.has_holder(id)).map(|(key, _)| *key).collect()
    }

    fn strike(&mut self, key: u64, id: MemberId, now: Duration) {
        self.let_go(key, now, |entry| entry.strike(id, now));
    }

    /// An account loses a holder.
    fn let_go(&mut self, key: u64, now: Duration, lose: impl FnOnce(&mut Entry)) {
        let factor = self.factor;
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.settle(factor, now);
        lose(entry);
        if entry.holders.is_empty() {
            self.orphans.insert(key);
        }
        self.look_at(key, now);
    }

    /// Counts as spent what a data plane may have believed to be its share.
    pub(super) fn drop_shares(&mut self, id: MemberId, of: impl Fn(&Entry) -> bool) {
        let Some((share, acked)) = self.members.get(&id).filter(|m| m.counts()).map(|m| (m.share, m.marks_acked))
        else {
            return;
        };
        for entry in self.entries.values_mut().filter(|e| e.mark > acked && !e.has_holder(id) && of(e)) {
            entry.total -= share * entry.largest;
        }
    }

    /// A data plane goes by this ledger's marks from now on: shares that an earlier ledger had already taken from it,
    /// or that it never said anything of, do not come back.
    pub(super) fn forget_stale_shares(&mut self, id: MemberId, acked_before: u64, share: f64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let knowledge = std::mem::replace(&mut member.knowledge, Knowledge::Current);
        if !member.counts() {
            return;
        }
        let taken = |e: &&mut Entry| e.mark > acked_before && knowledge.is_stale_about(e);
        for entry in self.entries.values_mut().filter(taken).filter(|e| !e.has_holder(id)) {
            entry.total -= share * entry.largest;
        }
    }

    /// Sets aside the shares of those who were lost.
    pub(super) fn set_factor(&mut self, now: Duration) {
        let lost: f64 = self.members.values().filter(|m| !m.counts()).map(|m| m.share).sum();
        let factor = (1.0 - lost).clamp(0.0, 1.0);
        if (factor - self.factor).abs() > EPSILON {
            let before = self.factor;
            self.entries.values_mut().for_each(|entry| entry.settle(before, now));
            self.factor = factor;
            self.entries.values_mut().for_each(|entry| entry.settle(factor, now));
            // While something is set aside, no account is closed.
            let keys: Vec<u64> = if factor < 1.0 { Vec::new() } else { self.entries.keys().copied().collect() };
            keys.into_iter().for_each(|key| self.look_at(key, now));
            // What is set aside everybody must know in time.
            self.share_out();
        }
        self.shares_are_stale = true;
    }

    /// Tells everyone its share: an equal one. Shares shrink before others grow.
    pub(super) fn share_out(&mut self) {
        self.shares_are_stale = false;
        if self.recovery.is_some() {
            return;
        }
        let has_share = |m: &&Member| m.standing == Standing::Connected && m.remembered;
        let others: f64 = self.members.values().filter(|m| !has_share(m)).map(|m| m.share).sum();
        let count = self.members.values().filter(has_share).count();
        let target = match self.empty_since {
            Some(_) => 0.0,
            None => ((1.0 - others) / count.max(1) as f64).max(0.0),
        };
        let mut free = 1.0 - self.members.values().map(|m| m.share).sum::<f64>();
        let factor = self.factor;
        for member in self.members.values_mut().filter(|m| m.is_served()) {
            let last = member.last_share();
            let fits = has_share(&&*member);
            let share = match target - last {
                more if fits && more > EPSILON => last + more.min(free.max(0.0)),
                less if fits && less < -EPSILON => target,
                _ => last,
            };
            let changed = member.terms_sent.is_none_or(|sent| (sent.factor - factor).abs() > EPSILON);
            if changed || (share - last).abs() > EPSILON {
                free -= (share - member.share).max(0.0);
                member.set_terms(Terms { share, factor });
            }
            // Another's must shrink first.
            self.shares_are_stale |= fits && share < target - EPSILON;
        }
    }

    /// Accounts that no data plane remembers are told to one, so that a ledger that starts anew hears of them.
    pub(super) fn find_custodians(&mut self) {
        let orphans: Vec<u64> = self.orphans.iter().copied().collect();
        for key in orphans {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let can = |m: &&mut Member| m.standing == Standing::Connected && m.welcomed && m.marks_acked >= entry.mark;
            let Some((id, member)) = self.members.iter_mut().map(|(id, m)| (*id, m)).find(|(_, m)| can(m)) else {
                continue;
            };
            entry.add_holder(id, 0.0).idle = true;
            let remember = Some(entry.client);
            member.grant(Grant { key, tokens: 0.0, whole: false, retry: Duration::ZERO, remember });
            self.orphans.remove(&key);
        }
    }
}

/// A holder's stream is a new one: what was on its way to it in the old one never comes.
fn resume(entry: &mut Entry, id: MemberId, whole: bool, tokens: f64, returning: bool, factor: f64, now: Duration) {
    let Some(holder) = entry.holder(id) else { return };
    let was_whole = holder.whole;
    holder.in_flight.clear();
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
