//! That a backend is ejected, why, and until when.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::OutlierRules;
use crate::clock::Nanos;

/// Why a backend is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Connections could not be made, several times in a row.
    Unreachable,
    /// It failed several requests in a row.
    Failures,
    /// Too few of its requests succeeded.
    SuccessRate,
}

impl Reason {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::Unreachable, Self::Failures, Self::SuccessRate];

    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Failures => "failures",
            Self::SuccessRate => "success_rate",
        }
    }

    /// Whether it is a judgement, which may be wrong, and not a fact.
    pub fn is_judgement(self) -> bool {
        self != Self::Unreachable
    }
}

/// Ejections of one backend. Requests read one number of it.
#[derive(Debug, Default)]
pub(in crate::pool) struct Ejection {
    /// A [`Nanos`]; 0: not ejected. Written after `reason`.
    until: AtomicU64,
    /// Index in [`Reason::ALL`] of the last ejection.
    reason: AtomicU8,
    /// Ejections that make the next one longer.
    recent: AtomicU32,
    /// Its end has not been noticed.
    unnoticed: AtomicBool,
    counts: [AtomicU64; Reason::ALL.len()],
}

impl Ejection {
    /// Why it is ejected now, if it is.
    pub(in crate::pool) fn current(&self, now: Nanos) -> Option<Reason> {
        // The usual answer costs one read.
        if now.0 >= self.until.load(Acquire) { None } else { Some(self.reason()) }
    }

    /// Ejects it. `None`: it is ejected already. Else how long, in nanoseconds. One caller at a time.
    pub(in crate::pool) fn start(&self, reason: Reason, now: Nanos, rules: &OutlierRules) -> Option<u64> {
        if self.current(now).is_some() {
            return None;
        }
        let lasts_ns = rules.ejection_ns(self.recent.fetch_add(1, AcqRel));
        self.reason.store(reason as u8, Relaxed);
        self.until.store(now.plus(lasts_ns).0, Release);
        self.unnoticed.store(true, Release);
        self.counts[reason as usize].fetch_add(1, Relaxed);
        Some(lasts_ns)
    }

    /// Ends it, and forgets those before.
    pub(in crate::pool) fn lift(&self) {
        self.recent.store(0, Relaxed);
        self.until.store(0, Release);
    }

    /// Forgets one ejection.
    pub(in crate::pool) fn forget_one(&self) {
        // An error says that there was nothing to forget.
        let _ = self.recent.fetch_update(Relaxed, Relaxed, |recent| recent.checked_sub(1));
    }

    /// Whether it has ended since this was last asked.
    pub(in crate::pool) fn has_ended(&self, now: Nanos) -> bool {
        self.current(now).is_none() && self.unnoticed.swap(false, AcqRel)
    }

    /// Ejections for this reason since the process started.
    pub(in crate::pool) fn count(&self, reason: Reason) -> u64 {
        self.counts[reason as usize].load(Relaxed)
    }

    fn reason(&self) -> Reason {
        Reason::ALL.get(usize::from(self.reason.load(Relaxed))).copied().unwrap_or(Reason::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    #[test]
    fn each_ejection_lasts_twice_as_long_until_they_are_forgotten() {
        let (ejection, rules) = (Ejection::default(), OutlierRules::default());
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(ejection.start(Reason::Failures, at(now), &rules), Some(seconds * 1_000_000_000));
            assert_eq!(ejection.start(Reason::SuccessRate, at(now), &rules), None);
            now += seconds * 1000;
            assert_eq!(ejection.current(at(now - 1)), Some(Reason::Failures));
            assert!(!ejection.has_ended(at(now - 1)));
            assert_eq!(ejection.current(at(now)), None);
            assert_eq!([ejection.has_ended(at(now)), ejection.has_ended(at(now))], [true, false]);
        }
        (0..6).for_each(|_| ejection.forget_one());
        assert_eq!(ejection.start(Reason::Failures, at(now), &rules), Some(2_000_000_000));
        ejection.lift();
        ejection.forget_one();
        assert_eq!(ejection.start(Reason::Unreachable, at(now), &rules), Some(1_000_000_000));
        assert_eq!(Reason::ALL.map(|reason| ejection.count(reason)), [1, 8, 0]);
    }
}
