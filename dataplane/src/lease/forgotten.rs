//! Clients that had to be forgotten: there are more than there may be.
//!
//! What is here of them goes back to the ledger. Where there is none, or it has not heard of them, their limits stay in mind
//! until it has: what they had of the standing share then counts as spent.

use super::{
    Lease,
    marks::cell,
    message::{Ask, Holding, LeaseClient},
    record::Record,
};
use crate::{
    clock::Nanos,
    limiter::{BucketTable, Terms},
};

/// A client of which nothing is here any more, and the ledger is to hear that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten {
    client: LeaseClient,
    /// A ledger has answered for it.
    pub(super) known: bool,
    /// It has been said in the join of the stream that stands.
    pub(super) told: bool,
}

impl Forgotten {
    pub(super) fn holding(&self) -> Holding {
        Holding { client: self.client, tokens: 0.0, whole: false, known: self.known }
    }

    /// Tells a ledger that has not heard of it: all of the share was spent.
    fn ask(&self) -> Ask {
        Ask { client: self.client, spent: self.client.limit.capacity(), tokens: 0.0, want: 1.0 }
    }
}

impl Lease {
    /// There are as many clients as there may be: an eighth of them is forgotten, those not used for longest. What they have
    /// goes back, and as long as no ledger says so they do not count as free.
    pub(super) fn make_room(&mut self, table: &BucketTable, now: Nanos) {
        let mut by_use: Vec<(Nanos, u64)> = self.records.iter().map(|(key, record)| (record.used, *key)).collect();
        let count = by_use.len().div_ceil(8);
        if count < by_use.len() {
            by_use.select_nth_unstable(count);
        }
        if !self.is_welcome() {
            self.marks_unsure = true;
            table.set_terms(Terms { forgot_at: now, ..table.terms() });
        }
        by_use.into_iter().take(count).for_each(|(_, key)| self.forget_for_room(key, table, now));
    }

    fn forget_for_room(&mut self, key: u64, table: &BucketTable, now: Nanos) {
        self.marks.set(cell(key), true);
        let Some(record) = self.records.get(&key).copied() else { return };
        let gives_back = self.is_welcome() && record.known;
        if gives_back {
            self.give_back(key, table, now, |_| 0.0, true);
            self.asks.remove(&key);
        } else {
            self.lay_aside(key, record);
        }
        self.records.remove(&key);
        match record.place() {
            Some(place) if gives_back => table.release(place.bucket, place.kind),
            Some(place) => table.evict(place.bucket, place.kind),
            None => {}
        }
    }

    /// As many are kept in mind as there may be clients; others nobody hears of.
    fn lay_aside(&mut self, key: u64, record: Record) {
        if self.forgotten.len() < self.most {
            self.forgotten.insert(key, Forgotten { client: record.client, known: record.known, told: false });
        }
        if self.is_welcome() && self.forgotten.contains_key(&key) {
            self.asks.insert(key);
        } else {
            self.asks.remove(&key);
        }
    }

    /// What is to be said of a client that was forgotten before the ledger heard of it. It stays in mind until the ledger
    /// answers: the stream may break before.
    pub(super) fn ask_for_forgotten(&mut self, key: u64) -> Option<Ask> {
        let forgotten = *self.forgotten.get(&key)?;
        // Nobody asks here any more.
        self.goes_back(key, 0.0, true);
        Some(forgotten.ask())
    }

    /// The ledger goes along with the stream: those it has been told of are not waited for here, and it hears of the others.
    pub(super) fn tell_of_forgotten(&mut self) {
        let (told, untold): (Vec<_>, Vec<_>) = self.forgotten.iter().partition(|(_, forgotten)| forgotten.told);
        let (told, untold) = (keys(told), keys(untold));
        self.asks.extend(untold);
        for key in told {
            self.forgotten.remove(&key);
            self.goes_back(key, 0.0, true);
        }
    }
}

fn keys(forgotten: Vec<(&u64, &Forgotten)>) -> Vec<u64> {
    forgotten.into_iter().map(|(key, _)| *key).collect()
}
