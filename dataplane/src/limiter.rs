//! Token buckets of all clients: one bounded table, shared by all threads, that outlives snapshots.
//!
//! A decision for a known client takes no lock and allocates nothing: find the slot, compute, one compare-and-swap. A
//! refusal writes nothing. A new client takes the lock of its segment of the table, so two threads that meet a new
//! client at once make one bucket. How a slot is read and reused is explained in `slot`, how it is found in
//! `group`; both rest on these invariants:
//!
//! 1. A key is in at most one slot, and that slot lies in the key's group. Only who holds the segment's lock changes keys.
//! 2. A key changes only while the slot's state is *claimed*. No state of a slot ever recurs: within one tenancy a
//!    change makes (time, -tokens) larger (a deposit or a change of mode counts as later), and the next tenant starts
//!    at a later time. So a compare-and-swap from a
//!    state that was read before the key was checked succeeds only if the key was still there.
//! 3. `full_at` of a slot is never earlier than the moment its bucket is full. So a bucket that is evicted because
//!    that moment has passed equals a new one.

mod group;
mod level;
mod shared;
mod slot;
mod terms;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use self::{
    group::{Group, Insertion, SLOTS_PER_GROUP, Segment},
    slot::Name,
    terms::TermsCell,
};
pub use self::{
    shared::{Content, Need, Taken},
    terms::{Mode, Terms},
};
use crate::{clock::Nanos, limit::Limit};

/// Whose limit decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// The default limit.
    Default,
    /// The client's own.
    Client,
}

/// What came of taking a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether there was one.
    pub admitted: bool,
    /// Tokens left, at least 0; less than 1 when refused.
    pub remaining: f64,
    /// When refused: nanoseconds until there is a token; `None`: there will never be one (rate 0).
    pub wait: Option<u64>,
    /// Nanoseconds until the bucket is full; `None`: it will never be (rate 0).
    pub reset: Option<u64>,
}

/// The buckets of all clients. A key stands for one client under one [`LimitKind`].
pub struct BucketTable {
    segments: Box<[Segment]>,
    groups: usize,
    max_clients: usize,
    counters: Counters,
    terms: TermsCell,
}

/// On a line of their own: they are written by insertions, the rest of the table is read by every decision.
#[derive(Default)]
#[repr(align(64))]
struct Counters {
    buckets: AtomicUsize,
    evictions: AtomicU64,
}

impl BucketTable {
    /// A table for `max_clients` clients at once, rounded up to whole groups. It has 1.25 slots for each, so that few
    /// groups fill up before the table does. Slots are allocated a segment at a time, when its first client comes.
    pub fn new(max_clients: usize) -> Self {
        let slots = max_clients.max(1).saturating_add(max_clients / 4);
        let groups = slots.div_ceil(SLOTS_PER_GROUP);
        Self {
            segments: Segment::for_groups(groups).collect(),
            groups,
            max_clients,
            counters: Counters::default(),
            terms: TermsCell::default(),
        }
    }

    /// Takes one token from a client's bucket, which is full if the client is new.
    ///
    /// Never admits more than `capacity + rate * T` in any window `T`, from any number of threads, unless the bucket was
    /// evicted before it was full, which [`Self::evictions`] counts. A `now` before the bucket's last change counts as
    /// the time of that change.
    pub fn take(&self, key: u64, limit: &Limit, kind: LimitKind, now: Nanos) -> Decision {
        let (group, name) = (self.group(key), Name::new(key, kind));
        loop {
            // Ends: a slot that is lost between the two lines was lost to another client's insertion.
            if let Some(decision) = group.find(name).and_then(|slot| slot.take(name, limit, now)) {
                return decision;
            }
            if let Some(decision) = self.insert(group, name, limit, now) {
                return decision;
            }
        }
    }

    /// Settles a named client's bucket when its limit changes: the tokens gathered under the `old` limit stay, up to
    /// the new capacity, and from now on they refill at the new rate. `old` is `None` when there was no limit: then
    /// a bucket left from an earlier one refills as if the new limit had held since its last change.
    ///
    /// Call it before the new limit is published: else a decision in between refills the past at the new rate.
    pub fn retune(&self, key: u64, old: Option<&Limit>, new: &Limit, now: Nanos) {
        self.group(key).retune(Name::new(key, LimitKind::Client), old.unwrap_or(new), new, &self.terms(), now);
    }

    /// As [`Self::retune`], for every bucket under the default limit. Walks the whole table. `None` is unlimited.
    pub fn retune_default(&self, old: Option<&Limit>, new: Option<&Limit>, now: Nanos) {
        let Some(new) = new else { return };
        let terms = self.terms();
        for segment in &self.segments {
            segment.retune_all(LimitKind::Default, old.unwrap_or(new), new, &terms, now);
        }
    }

    /// Tokens in a client's bucket; `None`: it has none, which is as good as a full one.
    pub fn tokens(&self, key: u64, limit: &Limit, kind: LimitKind, now: Nanos) -> Option<f64> {
        let name = Name::new(key, kind);
        Some(self.group(key).find(name)?.level(name)?.refilled(limit, now).tokens)
    }

    /// Buckets held.
    pub fn len(&self) -> usize {
        self.counters.buckets.load(Relaxed)
    }

    /// Whether no bucket is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Clients the table was made for.
    pub fn max_clients(&self) -> usize {
        self.max_clients
    }

    /// Buckets that gave way to a new client before they were full.
    pub fn evictions(&self) -> u64 {
        self.counters.evictions.load(Relaxed)
    }

    /// Memory the table takes once all of it is in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(Segment::bytes).sum()
    }

    fn insert(&self, group: Group<'_>, name: Name, limit: &Limit, now: Nanos) -> Option<Decision> {
        match group.take_or_insert(name, limit, now) {
            Insertion::Known(decision) => decision,
            Insertion::Added(decision) => {
                self.counters.buckets.fetch_add(1, Relaxed);
                Some(decision)
            }
            Insertion::Replaced { decision, evicted_full } => {
                self.counters.evictions.fetch_add(u64::from(!evicted_full), Relaxed);
                Some(decision)
            }
        }
    }

    /// The high bits of the key choose the group, the low ones the place in it.
    fn group(&self, key: u64) -> Group<'_> {
        let number = (u128::from(key) * self.groups as u128) >> 64;
        Segment::group(&self.segments, number as usize)
    }
}
