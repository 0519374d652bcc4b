//! What is known of a backend from using it.

use std::sync::{
    Arc,
    atomic::{
        AtomicU32, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use crate::{clock::Nanos, traffic::Traffic};

/// Connect failures in a row that eject a backend.
const FAILURES_TO_EJECT: u32 = 3;

/// The first ejection lasts this long, each further one twice as long as the one before.
const FIRST_EJECTION_NS: u64 = 1_000_000_000;

/// No ejection lasts longer.
const LONGEST_EJECTION_NS: u64 = 30_000_000_000;

/// State of a backend that outlives snapshots; one per backend id.
#[derive(Debug, Default)]
pub struct BackendState {
    /// What it answered, for the metrics.
    pub traffic: Traffic,
    in_flight: AtomicU32,
    /// Connect failures in a row; during an ejection further ones do not count.
    failures: AtomicU32,
    /// A [`Nanos`]; 0: never ejected since it last took a connection.
    ejected_until: AtomicU64,
}

/// One request in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<BackendState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl BackendState {
    /// Counts a request as in flight until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A connection could not be made. The third in a row ejects the backend for a second; when that is over it gets
    /// requests again, and the next failure ejects it for twice as long, up to 30 s.
    pub fn connect_failed(&self, now: Nanos) {
        let until = self.ejected_until.load(Acquire);
        if now.0 < until {
            return;
        }
        let failures = self.failures.load(Relaxed).saturating_add(1);
        if failures < FAILURES_TO_EJECT {
            self.failures.fetch_add(1, Relaxed);
            return;
        }
        // Of several that fail at once, one ejects.
        let end = now.plus(ejection_ns(failures)).0;
        if self.ejected_until.compare_exchange(until, end, AcqRel, Relaxed).is_ok() {
            self.failures.store(failures, Relaxed);
        }
    }

    /// A connection was made: all is forgiven.
    pub fn connected(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
        }
    }

    /// Whether connect failures keep it from getting requests.
    pub fn is_ejected(&self, now: Nanos) -> bool {
        now.0 < self.ejected_until.load(Relaxed)
    }
}

fn ejection_ns(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(FAILURES_TO_EJECT).min(10);
    (FIRST_EJECTION_NS << doublings).min(LONGEST_EJECTION_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    #[test]
    fn in_flight_lasts_as_long_as_its_guard() {
        let state = Arc::new(BackendState::default());
        let (a, b) = (state.begin(), state.begin());
        assert_eq!(state.in_flight(), 2);
        drop(a);
        assert_eq!(state.in_flight(), 1);
        drop(b);
        assert_eq!(state.in_flight(), 0);
    }

    #[test]
    fn the_third_failure_in_a_row_ejects_and_each_ejection_doubles() {
        let state = BackendState::default();
        state.connect_failed(at(0));
        state.connect_failed(at(0));
        state.connected();
        state.connect_failed(at(0));
        state.connect_failed(at(0));
        assert!(!state.is_ejected(at(0)));
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            state.connect_failed(at(now));
            state.connect_failed(at(now)); // a straggler
            assert!(state.is_ejected(at(now + seconds * 1000 - 1)), "{seconds}");
            now += seconds * 1000;
            assert!(!state.is_ejected(at(now)), "{seconds}");
        }
        state.connected();
        state.connect_failed(at(now));
        assert!(!state.is_ejected(at(now)));
    }
}
