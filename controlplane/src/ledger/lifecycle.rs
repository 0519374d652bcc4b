//! Data planes come, go, fall silent and come back.

use std::time::Duration;

use super::{
    Ledger,
    journal::{Event, Share, What},
    member::{Knowledge, Member, MemberId, Standing},
    message::Join,
};

impl Ledger {
    /// Begins a data plane's stream. That makes no lease longer: it may be cut off before it hears of it, and its join may
    /// have been long on its way.
    pub(super) fn enter(&mut self, join: &Join, now: Duration) -> MemberId {
        let known = self.members.iter().find(|(_, m)| m.replica_id == join.replica_id).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.admit(join, now));
        let reborn = self.members.get(&id).is_some_and(|m| m.incarnation != join.incarnation && !m.missing);
        let goes_on = known.is_some() && !reborn && self.members.get(&id).is_some_and(Member::counts);
        if reborn {
            self.bury(id, join, now);
        }
        self.hear_of_missing(id, join, now);
        let welcome = self.welcome();
        let (epoch, lease) = (self.epoch, self.timing.lease);
        if let Some(member) = self.members.get_mut(&id) {
            member.incarnation = join.incarnation;
            member.standing = match member.standing {
                Standing::Connected | Standing::Closed => Standing::Connected,
                Standing::Lost | Standing::Returning => Standing::Returning,
            };
            if !goes_on {
                member.lease_floor = member.lease_floor.max(now + lease);
            }
            if join.epoch != epoch && join.epoch != 0 {
                (member.knowledge, member.marks_acked) = (Knowledge::Late, 0);
            }
            member.begin_stream(welcome, now);
            if reborn || join.marks_unsure {
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
        self.drop_shares(id, now);
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

    /// A data plane that surely has its lease is not lost any more. What it says may have been long on its way: once the
    /// lease that it speaks of may have ended, it may be alone again, and its share stays set aside.
    pub(super) fn welcomed(&mut self, id: MemberId, now: Duration) {
        let has_lease = |m: &&mut Member| m.standing == Standing::Returning && m.welcomed && now < m.lease_floor;
        let returned = self.members.get_mut(&id).filter(has_lease);
        let Some(member) = returned else { return };
        (member.standing, member.written_off) = (Standing::Connected, false);
        member.missing = false;
        let (share, marks_acked) = (member.share, member.marks_acked);
        self.stop_doubting(now);
        self.set_factor(now);
        self.change_share(Share { member: id, marks_acked, change: share, replayed: false }, now);
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
                Standing::Closed if member.cast_off && now >= member.lease_floor => self.lose(id, now),
                Standing::Closed if ended && !member.cast_off => self.remove(id, now),
                Standing::Lost if ended && !member.written_off => self.write_off(id, now),
                Standing::Lost if ended => self.forget(id, now),
                _ => {}
            }
        }
    }

    /// Its stream is ended from here, and so it is not known to be gone: it may be cut off just now, and go by its share.
    pub fn cast_off(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.cast_off = true;
        }
    }

    fn lose(&mut self, id: MemberId, now: Duration) {
        self.drop_shares(id, now);
        if let Some(member) = self.members.get_mut(&id) {
            (member.standing, member.lost_since, member.written_off) = (Standing::Lost, now, false);
            // Its share counts as spent from here on: what it has not said yet would count it once more.
            member.to_replay.clear();
        }
        self.tallies.lost += 1;
        self.set_factor(now);
    }

    /// Its stream ended and it did not come back: it is taken to be gone.
    fn remove(&mut self, id: MemberId, now: Duration) {
        self.write_off(id, now);
        self.drop_shares(id, now);
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
            self.stop_doubting(now);
            self.set_factor(now);
        }
    }

    /// Once nobody of an earlier epoch is missing any more, a client that nobody spoke of is free.
    fn stop_doubting(&mut self, now: Duration) {
        if self.empty_since.is_none() || self.members.values().any(|member| member.missing) {
            return;
        }
        self.empty_since = None;
        self.tell_all(What::Undoubted, now);
    }

    /// It says goodbye, having applied the responses up to `acked`: what it did not give back it did not have.
    pub(super) fn leave(&mut self, id: MemberId, acked: u64, now: Duration) {
        self.stop_waiting(id, &[]);
        self.tell_all(What::Left(id, acked), now);
        self.members.remove(&id);
        self.set_factor(now);
    }

    fn write_off(&mut self, id: MemberId, now: Duration) {
        self.stop_waiting(id, &[]);
        self.tell_all(What::Gone(id), now);
        if let Some(member) = self.members.get_mut(&id) {
            member.written_off = true;
        }
    }

    pub(super) fn tell_all(&mut self, what: What, now: Duration) {
        if !self.entries.is_empty() {
            self.journal.push(Event { at: now, factor: self.factor, what });
        }
    }
}
