//! One slot: who its tenant is, what the tenant's bucket holds, and when the slot may be given to another.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use portable_atomic::AtomicU128;

use super::{
    Decision, LimitKind, Need, Taken,
    level::Level,
    terms::{Mode, Terms},
};
use crate::{clock::Nanos, limit::Limit};

/// The state between two tenants. Not a level: its tokens are not a number.
const CLAIMED: u128 = u128::MAX;

/// What a slot is known by: 63 bits of the client's key and the kind of its limit; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u64);

impl Name {
    pub(super) fn new(key: u64, kind: LimitKind) -> Self {
        // Zero marks a slot that never had a tenant, so a key that comes out as zero shares another's name.
        let bits = if key << 1 == 0 { u64::MAX - 1 } else { key << 1 };
        Self(bits | u64::from(kind == LimitKind::Client))
    }

    /// Bits to choose a place in the group by.
    pub(super) fn low_bits(self) -> usize {
        (self.0 >> 1) as usize
    }
}

/// 32 bytes, never across two cache lines.
#[derive(Default)]
#[repr(align(32))]
pub(super) struct Slot {
    /// A [`Name`], or 0 before the first tenant. Written only under the segment's lock while `state` is claimed.
    name: AtomicU64,
    /// Never earlier than the moment the bucket is full. Raised *before* the state that needs it is swapped in.
    full_at: AtomicU64,
    /// A packed [`Level`], or [`CLAIMED`].
    state: AtomicU128,
}

impl Slot {
    pub(super) fn is_empty(&self) -> bool {
        self.name.load(Acquire) == 0
    }

    pub(super) fn is(&self, name: Name) -> bool {
        self.name.load(Acquire) == name.0
    }

    pub(super) fn has_kind(&self, kind: LimitKind) -> bool {
        let name = self.name.load(Acquire);
        name != 0 && (name & 1 == 1) == (kind == LimitKind::Client)
    }

    /// Takes a token; `None`: the slot is not `name`'s (any more).
    pub(super) fn take(&self, name: Name, limit: &Limit, now: Nanos) -> Option<Decision> {
        let mut state = self.state.load(Acquire);
        loop {
            // After the state: if the state then holds until the swap, so does the name.
            let level = self.level_of(state, name)?.refilled(limit, now);
            let Some(left) = level.taken() else {
                // A refusal must be the tenant's own, so the state must still be there.
                match self.state.load(Acquire) {
                    same if same == state => return Some(level.decision(false, limit, now)),
                    other => state = other,
                }
                continue;
            };
            self.keep_until_full(left, limit);
            match self.state.compare_exchange(state, left.pack(), AcqRel, Acquire) {
                Ok(_) => return Some(left.decision(true, limit, now)),
                Err(other) => state = other,
            }
        }
    }

    /// Takes a token of a bucket that data planes share; `None`: the slot is not `name`'s, or nothing is known of its
    /// client any more.
    pub(super) fn take_shared(&self, name: Name, limit: &Limit, terms: &Terms, now: Nanos) -> Option<Taken> {
        let mut state = self.state.load(Acquire);
        loop {
            let before = self.level_of(state, name)?;
            if matches!(before.mode, Mode::Local | Mode::Free) {
                return None;
            }
            let level = before.settled(limit, terms, now);
            let (after, taken) = shared_decision(level, limit, terms, now);
            let swapped = match after {
                None if self.state.load(Acquire) == state => return Some(taken),
                None => Err(self.state.load(Acquire)),
                Some(after) => self.state.compare_exchange(state, after.pack(), AcqRel, Acquire),
            };
            match swapped {
                Ok(_) => return Some(taken),
                Err(other) => state = other,
            }
        }
    }

    /// Replaces a shared bucket's level; returns what it was and is. `None`: not `name`'s. Only under the segment's lock.
    pub(super) fn adjust(&self, name: Name, change: impl Fn(Level) -> Level) -> Option<(Level, Level)> {
        let mut state = self.state.load(Acquire);
        loop {
            let before = self.level_of(state, name)?;
            let mut after = change(before);
            // Later than before: no state recurs.
            after.at = after.at.max(before.changed(0.0, after.mode).at);
            self.full_at.store(if after.mode == Mode::Free { 0 } else { u64::MAX }, Relaxed);
            match self.state.compare_exchange(state, after.pack(), AcqRel, Acquire) {
                Ok(_) => return Some((before, after)),
                Err(other) => state = other,
            }
        }
    }

    /// What is in `name`'s bucket, and since when; `None`: the slot is not its (any more).
    pub(super) fn level(&self, name: Name) -> Option<Level> {
        self.level_of(self.state.load(Acquire), name)
    }

    /// Changes the tenant's limit. Only under the segment's lock.
    ///
    /// `full_at` may have to fall, so the state is changed too, whatever the tokens: who raised `full_at` before it
    /// fell fails to swap in the state that needs it, and starts over.
    pub(super) fn retune(&self, old: &Limit, new: &Limit, terms: &Terms, now: Nanos) {
        let mut state = self.state.load(Acquire);
        loop {
            let before = Level::unpack(state);
            let settled = before.settled(old, terms, now);
            let mut settled = settled.changed(settled.tokens.min(new.capacity()), before.mode);
            settled.at = settled.at.max(before.at);
            if before.mode == Mode::Local {
                self.full_at.store(settled.full_at(new).0, Relaxed);
            }
            match self.state.compare_exchange(state, settled.pack(), AcqRel, Acquire) {
                Ok(_) => return,
                Err(other) => state = other,
            }
        }
    }

    /// When the bucket is full, at the latest.
    pub(super) fn full_at(&self) -> Nanos {
        Nanos(self.full_at.load(Relaxed))
    }

    /// Claims the slot if its bucket is full; the last moment of the tenancy. Only under the segment's lock.
    pub(super) fn claim_if_full(&self, now: Nanos) -> Option<Nanos> {
        // State before full_at: the state of a taker that was seen brings the full_at it needs with it; the swap
        // fails for one that was not.
        let state = self.state.load(Acquire);
        let full = self.full_at() <= now;
        (full && self.state.compare_exchange(state, CLAIMED, AcqRel, Relaxed).is_ok()).then(|| Level::unpack(state).at)
    }

    /// Claims the slot whatever its bucket holds; the last moment of the tenancy. Only under the segment's lock.
    pub(super) fn claim(&self) -> Nanos {
        Level::unpack(self.state.swap(CLAIMED, AcqRel)).at
    }

    /// Gives a claimed slot to a tenant. Only under the segment's lock.
    pub(super) fn occupy(&self, name: Name, level: Level, limit: &Limit) {
        self.name.store(name.0, Release);
        // What others count on must not be forgotten before they are told.
        let full_at = if level.mode == Mode::Local { level.full_at(limit).0 } else { u64::MAX };
        self.full_at.store(full_at, Relaxed);
        self.state.store(level.pack(), Release);
    }

    fn keep_until_full(&self, level: Level, limit: &Limit) {
        if self.full_at() < level.full_at(limit) {
            self.full_at.fetch_max(level.full_at_with_margin(limit).0, Relaxed);
        }
    }

    fn level_of(&self, state: u128, name: Name) -> Option<Level> {
        (state != CLAIMED && self.is(name)).then(|| Level::unpack(state))
    }
}

/// What becomes of a request, and of the bucket; `None`: that stays as it is.
fn shared_decision(level: Level, limit: &Limit, terms: &Terms, now: Nanos) -> (Option<Level>, Taken) {
    let heard = terms.are_valid(now);
    let may_take = !(heard && level.mode == Mode::Asked);
    if let Some(left) = level.taken().filter(|_| may_take) {
        let decision = left.decision(true, limit, now);
        let low = heard && level.mode == Mode::Part && left.tokens < low_water(limit);
        return match low {
            true => (Some(left.changed(left.tokens, Mode::Low)), Taken { decision, need: Need::Ask }),
            false => (Some(left), Taken { decision, need: Need::Nothing }),
        };
    }
    let decision = level.decision(false, limit, now);
    let (after, need) = match level.mode {
        Mode::Part if heard => (Some(level.changed(level.tokens, Mode::Low)), Need::AskAndWait),
        Mode::Low | Mode::Asked if heard => (None, Need::Wait),
        _ => (None, Need::Nothing),
    };
    (after, Taken { decision, need })
}

/// With fewer tokens than this left, more are asked for: what comes in while the answer is on its way.
fn low_water(limit: &Limit) -> f64 {
    (limit.rate_per_sec() * 0.02 + 1.0).min(limit.capacity() / 4.0)
}
