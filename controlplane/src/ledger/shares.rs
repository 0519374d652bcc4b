//! Standing shares: what each data plane may count on of every client that is free.

use std::time::Duration;

use super::{
    Ledger,
    entry::EPSILON,
    journal::{Share, What},
    member::{Knowledge, Member, MemberId, Standing},
    message::Terms,
};

impl Ledger {
    pub(super) fn change_share(&mut self, share: Share, now: Duration) {
        if share.change != 0.0 {
            self.tell_all(What::Share(share), now);
        }
    }

    /// Counts as spent what a data plane may have believed to be its share.
    pub(super) fn drop_shares(&mut self, id: MemberId, now: Duration) {
        let Some(member) = self.members.get(&id).filter(|m| m.counts()) else { return };
        let (change, marks_acked) = (-member.share, member.marks_acked);
        self.change_share(Share { member: id, marks_acked, change, replayed: false }, now);
    }

    /// A data plane goes by this ledger's marks from now on: shares that an earlier ledger had already taken from it,
    /// or that it never said anything of, do not come back.
    pub(super) fn forget_stale_shares(&mut self, id: MemberId, marks_acked: u64, share: f64, now: Duration) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let knowledge = std::mem::replace(&mut member.knowledge, Knowledge::Current);
        if !member.counts() || knowledge == Knowledge::Current {
            return;
        }
        let replayed = knowledge == Knowledge::Earlier;
        self.change_share(Share { member: id, marks_acked, change: -share, replayed }, now);
    }

    /// Sets aside the shares of those who were lost.
    pub(super) fn set_factor(&mut self, now: Duration) {
        let lost: f64 = self.members.values().filter(|m| !m.counts()).map(|m| m.share).sum();
        let factor = (1.0 - lost).clamp(0.0, 1.0);
        if (factor - self.factor).abs() > EPSILON {
            self.tell_all(What::Factor(factor), now);
            self.factor = factor;
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
}
