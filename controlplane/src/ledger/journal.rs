//! What happens to all accounts at once.
//!
//! A data plane that is lost or comes back concerns every account, and there may be millions. So it is written down here, and
//! an account is told when it is next looked at: each event once, in order, as of the time it happened. Accounts are
//! independent of each other, so that is the same as telling all of them at once. Events that all have been told are
//! forgotten.

use std::{collections::VecDeque, time::Duration};

use super::{entry::Entry, member::MemberId};

/// Something that happened to all accounts.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    /// The part of every limit that was not set aside then.
    pub(super) factor: f64,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    /// Another part of every limit is set aside.
    Factor(f64),
    /// A data plane is gone, and with it what it may have held.
    Gone(MemberId),
    /// A data plane said goodbye, having applied the responses up to this one.
    Left(MemberId, u64),
    /// A data plane came back with nothing but this (sorted): what else was on its way to it is lost.
    CameBack(MemberId, Box<[u64]>),
    /// The standing share of a data plane changes what exists.
    Share(Share),
    /// It is known now that clients nobody spoke of were free.
    Undoubted,
}

/// A standing share that exists no longer, or again.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) member: MemberId,
    /// The newest change of the marks the data plane knew: of accounts opened before it counted on nothing.
    pub(super) marks_acked: u64,
    /// How much more of it exists.
    pub(super) change: f64,
    /// Only of accounts that were replayed.
    pub(super) replayed: bool,
}

/// See the module. Events are numbered; after 2^32 of them numbers begin anew, and accounts are never so far behind.
#[derive(Debug, Default)]
pub(super) struct Journal {
    events: VecDeque<Event>,
    /// Number of the newest.
    newest: u32,
}

impl Journal {
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// All accounts have been told everything.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
        self.newest = self.newest.wrapping_add(1);
    }

    /// Tells an account what it does not know yet. True: it lost its last holder.
    pub(super) fn tell(&self, key: u64, entry: &mut Entry) -> bool {
        if entry.told == self.newest {
            return false;
        }
        let was_held = !entry.holders.is_empty();
        let news = self.newest.wrapping_sub(entry.told) as usize;
        for event in self.events.range(self.events.len().saturating_sub(news)..) {
            event.befall(key, entry);
        }
        entry.told = self.newest;
        was_held && entry.holders.is_empty()
    }

    /// All accounts have been told the events up to `told`.
    pub(super) fn forget(&mut self, told: u32) {
        let left = self.newest.wrapping_sub(told) as usize;
        self.events.drain(..self.events.len().saturating_sub(left));
    }
}

impl Event {
    fn befall(&self, key: u64, entry: &mut Entry) {
        match &self.what {
            What::Factor(factor) => {
                entry.settle(self.factor, self.at);
                entry.settle(*factor, self.at);
            }
            What::Gone(member) => self.strike(*member, entry),
            What::Left(member, acked) => {
                entry.settle(self.factor, self.at);
                entry.dismiss(*member, *acked, self.at);
            }
            What::CameBack(member, held) => {
                if held.binary_search(&key).is_err() {
                    self.strike(*member, entry);
                }
            }
            What::Share(share) => share.befall(entry),
            What::Undoubted => entry.total += std::mem::take(&mut entry.withheld),
        }
    }

    fn strike(&self, member: MemberId, entry: &mut Entry) {
        entry.settle(self.factor, self.at);
        entry.strike(member, self.at);
    }
}

impl Share {
    fn befall(&self, entry: &mut Entry) {
        if entry.mark > self.marks_acked && (entry.replayed || !self.replayed) && !entry.has_holder(self.member) {
            entry.total += self.change * entry.capacity;
        }
    }
}
