//! A group of slots: where a key may live, and how it gets there.
//!
//! A key's slots are those of its group, in order from a place the key's low bits choose, round to the start. A search
//! ends at the first slot that never had a tenant. That is sound without a lock because a new key goes into the first
//! such slot, and no slot ever becomes empty again. A search that misses a key which another thread is just inserting
//! goes on to the lock, under which it is found.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::{
    Decision, LimitKind,
    level::Level,
    slot::{Name, Slot},
    terms::Terms,
};
use crate::{clock::Nanos, limit::Limit};

/// Large enough that at 80 % load about 0.2 % of clients find their group full; small enough to scan.
pub(super) const SLOTS_PER_GROUP: usize = 64;

/// So many groups are allocated together: few enough that a table nobody uses is small, so many that the directory of
/// segments stays in the fastest cache.
const GROUPS_PER_SEGMENT: usize = 16;

/// Groups that are allocated when the first client of one of them comes, and the lock that insertion takes.
pub(super) struct Segment {
    groups: OnceLock<Box<[Slots]>>,
    len: usize,
    changes: Mutex<()>,
}

type Slots = [Slot; SLOTS_PER_GROUP];

/// One group of a segment.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    segment: &'a Segment,
    index: usize,
}

/// Where a client that had no slot went.
pub(super) enum Place {
    /// Into a slot that never had a tenant.
    New,
    /// Into that of another client.
    Evicted {
        /// Whose bucket was full, which loses nothing.
        full: bool,
    },
}

/// What became of a client that was not found without the lock.
pub(super) enum Insertion {
    /// It was there after all. `None` cannot happen under the lock; the caller would start over.
    Known(Option<Decision>),
    /// It took a slot that never had a tenant.
    Added(Decision),
    /// It took the slot of another client.
    Replaced { decision: Decision, evicted_full: bool },
}

impl Segment {
    /// Segments for so many groups.
    pub(super) fn for_groups(count: usize) -> impl Iterator<Item = Self> {
        let lens = (0..count).step_by(GROUPS_PER_SEGMENT).map(move |first| (count - first).min(GROUPS_PER_SEGMENT));
        lens.map(|len| Self { groups: OnceLock::new(), len, changes: Mutex::new(()) })
    }

    /// A group by its number among all groups.
    pub(super) fn group(segments: &[Self], number: usize) -> Group<'_> {
        Group { segment: &segments[number / GROUPS_PER_SEGMENT], index: number % GROUPS_PER_SEGMENT }
    }

    /// Memory it takes once it is in use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.len * size_of::<Slots>()
    }

    /// Changes the limit of every bucket of one kind.
    pub(super) fn retune_all(&self, kind: LimitKind, old: &Limit, new: &Limit, terms: &Terms, now: Nanos) {
        let Some(groups) = self.groups.get() else { return };
        let _changes = self.lock();
        for slot in groups.iter().flatten().filter(|slot| slot.has_kind(kind)) {
            slot.retune(old, new, terms, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nothing panics under it, and there is nothing in it to be left half done.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allocated(&self) -> &[Slots] {
        self.groups.get_or_init(|| (0..self.len).map(|_| std::array::from_fn(|_| Slot::default())).collect())
    }
}

impl<'a> Group<'a> {
    /// The slot of `name` at some moment during the call.
    pub(super) fn find(self, name: Name) -> Option<&'a Slot> {
        let slots = &self.segment.groups.get()?[self.index];
        probe(slots, name).take_while(|slot| !slot.is_empty()).find(|slot| slot.is(name))
    }

    /// Takes a token of `name`, which gets a slot if it has none.
    pub(super) fn take_or_insert(self, name: Name, limit: &Limit, now: Nanos) -> Insertion {
        let _changes = self.segment.lock();
        if let Some(slot) = self.find(name) {
            return Insertion::Known(slot.take(name, limit, now));
        }
        // A capacity is at least 1.
        let mut level = Level::full(limit, now);
        level.tokens -= 1.0;
        let (level, place) = self.place(name, level, limit, now);
        let decision = level.decision(true, limit, now);
        match place {
            Place::New => Insertion::Added(decision),
            Place::Evicted { full } => Insertion::Replaced { decision, evicted_full: full },
        }
    }

    /// Changes the level of `name`, which gets a slot if it has none; says what it was and is, and whose place it took.
    /// `change` gets `None` for a client that has no slot.
    pub(super) fn change(
        self,
        name: Name,
        limit: &Limit,
        now: Nanos,
        change: impl Fn(Option<Level>) -> Level,
    ) -> (Option<Level>, Level, Option<Place>) {
        let _changes = self.segment.lock();
        if let Some((before, after)) = self.find(name).and_then(|slot| slot.adjust(name, |level| change(Some(level)))) {
            return (Some(before), after, None);
        }
        let (level, place) = self.place(name, change(None), limit, now);
        (None, level, Some(place))
    }

    /// As [`Self::change`], for a client that has a slot.
    pub(super) fn change_known(self, name: Name, change: impl Fn(Level) -> Level) {
        let _changes = self.segment.lock();
        if let Some(slot) = self.find(name) {
            slot.adjust(name, change);
        }
    }

    /// Only under the segment's lock.
    fn place(self, name: Name, level: Level, limit: &Limit, now: Nanos) -> (Level, Place) {
        let slots = &self.segment.allocated()[self.index];
        if let Some(slot) = probe(slots, name).find(|slot| slot.is_empty()) {
            slot.claim();
            slot.occupy(name, level, limit);
            return (level, Place::New);
        }
        let (slot, last, full) = vacate(slots, name, now);
        // Later than anything the slot has seen; see invariant 2 of the table.
        let level = Level { at: level.at.max(last.plus(8)), ..level };
        slot.occupy(name, level, limit);
        (level, Place::Evicted { full })
    }

    /// Changes the limit of `name`'s bucket, if there is one.
    pub(super) fn retune(self, name: Name, old: &Limit, new: &Limit, terms: &Terms, now: Nanos) {
        let _changes = self.segment.lock();
        if let Some(slot) = self.find(name) {
            slot.retune(old, new, terms, now);
        }
    }
}

/// All slots in the order `name` is looked for.
fn probe(slots: &Slots, name: Name) -> impl Iterator<Item = &Slot> {
    let (before, from) = slots.split_at(name.low_bits() % SLOTS_PER_GROUP);
    from.iter().chain(before)
}

/// Claims a slot of another client: the first whose bucket is full, else the one that would be full soonest. With it
/// come the last moment of its tenancy and whether its bucket was full.
fn vacate(slots: &Slots, name: Name, now: Nanos) -> (&Slot, Nanos, bool) {
    for slot in probe(slots, name) {
        if let Some(last) = slot.claim_if_full(now) {
            return (slot, last, true);
        }
    }
    let soonest = slots.iter().min_by_key(|slot| slot.full_at()).unwrap_or(&slots[0]);
    (soonest, soonest.claim(), false)
}
