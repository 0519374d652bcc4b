//! What is known of a backend from using it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use super::{
    outlier::{Ejection, OutlierRules, Reason, Watch},
    queue::Queue,
    slow_start,
};
use crate::{clock::Nanos, traffic::Traffic};

/// How often the log is told of what goes on and on, at most.
const TELL_EVERY_NS: u64 = 10 * Nanos::SECOND.0;

/// State of a backend that outlives snapshots; one per backend id.
#[derive(Debug, Default)]
pub struct BackendState {
    /// What it answered, for the metrics.
    pub traffic: Traffic,
    in_flight: AtomicU32,
    /// Failures in a row; during an ejection further ones do not count.
    strikes: AtomicU32,
    pub(super) ejection: Ejection,
    /// A [`Nanos`] from which its share grows; 0: it has its full share.
    warming_from: AtomicU64,
    watch: Mutex<Watch>,
    /// A [`Nanos`] of when the log was last told why it cannot be connected to; 0: never.
    told_at: AtomicU64,
}

/// One request in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<BackendState>,
    /// Told of the end, where the number of requests in flight is bounded.
    queue: Option<Arc<Queue>>,
}

impl InFlight {
    /// Where it is in flight.
    pub fn state(&self) -> &BackendState {
        &self.state
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, SeqCst);
        if let Some(queue) = &self.queue {
            queue.made_room();
        }
    }
}

impl BackendState {
    /// Counts a request as in flight until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight { state: self.clone(), queue: None }
    }

    /// As [`Self::begin`], if fewer than `most` are in flight; 0: any number. The end is told to `queue`.
    pub fn try_begin(self: &Arc<Self>, most: u32, queue: &Arc<Queue>) -> Option<InFlight> {
        if most == 0 {
            return Some(self.begin());
        }
        // Never above the bound, not even for a moment: who saw that moment would wait for room that is there.
        let one_more = |in_flight| (in_flight < most).then_some(in_flight + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, one_more).ok()?;
        Some(InFlight { state: self.clone(), queue: Some(queue.clone()) })
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// A request was answered: failures are no longer in a row.
    pub fn succeeded(&self) {
        // The usual case writes nothing.
        if self.strikes.load(Relaxed) != 0 {
            self.strikes.store(0, Relaxed);
        }
    }

    /// A connection was made: it is no longer unreachable.
    pub fn connected(&self, now: Nanos) {
        if self.ejection.current(now) == Some(Reason::Unreachable) {
            self.strikes.store(0, Relaxed);
            self.ejection.lift();
            self.warm_up(now);
        }
    }

    /// Whether the log is to be told again why it cannot be connected to.
    pub fn is_news(&self, now: Nanos) -> bool {
        let last = self.told_at.load(Relaxed);
        let due = last == 0 || now.since(Nanos(last)) >= TELL_EVERY_NS;
        due && self.told_at.compare_exchange(last, now.0.max(1), Relaxed, Relaxed).is_ok()
    }

    /// Its share is small from now on and grows, where there is a slow start.
    pub fn warm_up(&self, from: Nanos) {
        // 0 means something else.
        self.warming_from.store(from.0.max(1), Relaxed);
    }

    /// Why it is ejected now, if it is.
    pub fn ejected(&self, now: Nanos) -> Option<Reason> {
        self.ejection.current(now)
    }

    /// Ejections for this reason since the process started.
    pub fn ejections(&self, reason: Reason) -> u64 {
        self.ejection.count(reason)
    }

    /// Its share of what its weight stands for, in thousandths.
    pub(super) fn share(&self, now: Nanos, slow_start_ns: u64) -> u32 {
        let from = self.warming_from.load(Relaxed);
        if from == 0 { slow_start::WHOLE } else { slow_start::share(Nanos(from), now, slow_start_ns) }
    }

    /// Counts one more failure in a row; whether that is enough to eject.
    pub(super) fn strike(&self, now: Nanos, rules: &OutlierRules) -> bool {
        if rules.consecutive_failures == 0 || self.ejection.current(now).is_some() {
            return false;
        }
        // Stays there until it succeeds: the first failure after an ejection brings the next one.
        let strikes = self.strikes.fetch_add(1, Relaxed).saturating_add(1);
        strikes >= rules.consecutive_failures
    }

    /// Ejects it, and has its share grow once it is back. `None`: it is ejected already. Else for how many nanoseconds.
    pub(super) fn eject(&self, reason: Reason, now: Nanos, rules: &OutlierRules) -> Option<u64> {
        let lasts_ns = self.ejection.start(reason, now, rules)?;
        self.warm_up(now.plus(lasts_ns));
        Some(lasts_ns)
    }

    /// What its review keeps. Requests do not touch it.
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        // Plain numbers: a thread that panicked while it held the lock left nothing half done.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: OutlierRules = OutlierRules {
        consecutive_failures: 3,
        server_errors: super::super::outlier::ServerErrors::Ignored,
        min_success_percent: 0,
        window_secs: 10,
        min_requests: 20,
        first_ejection_ns: 1_000_000_000,
        longest_ejection_ns: 30_000_000_000,
        max_ejected_percent: 50,
        panic_percent: 50,
    };

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
    fn no_thread_gets_past_the_bound() {
        let (state, queue) = (Arc::new(BackendState::default()), Arc::new(Queue::default()));
        let held: Vec<_> = (0..9).map_while(|_| state.try_begin(5, &queue)).collect();
        assert_eq!((held.len(), state.in_flight()), (5, 5));
        drop(held);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let held = state.try_begin(2, &queue);
                        assert!(state.in_flight() <= 2);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(state.in_flight(), 0);
    }

    #[test]
    fn only_failures_in_a_row_are_enough_and_after_an_ejection_one_is() {
        let state = BackendState::default();
        let strikes = |count| (0..count).map(|_| state.strike(at(0), &RULES)).collect::<Vec<_>>();
        assert_eq!(strikes(2), [false, false]);
        state.succeeded();
        assert_eq!(strikes(3), [false, false, true]);
        assert_eq!(state.eject(Reason::Failures, at(0), &RULES), Some(1_000_000_000));
        assert!(!state.strike(at(999), &RULES), "a straggler");
        assert!(state.strike(at(1000), &RULES));
    }

    #[test]
    fn a_connection_proves_that_it_can_be_reached_and_nothing_else() {
        let state = BackendState::default();
        for (reason, left) in [(Reason::Unreachable, None), (Reason::Failures, Some(Reason::Failures))] {
            state.eject(reason, at(0), &RULES);
            state.connected(at(1));
            assert_eq!(state.ejected(at(1)), left);
        }
    }

    #[test]
    fn what_goes_on_is_told_now_and_then() {
        let state = BackendState::default();
        assert_eq!([5, 6, 10_004, 10_005, 10_006].map(|ms| state.is_news(at(ms))), [true, false, false, true, false]);
    }

    #[test]
    fn the_share_grows_from_when_it_is_back() {
        let state = BackendState::default();
        let share = |ms| state.share(at(ms), 10_000_000_000);
        assert_eq!(share(0), 1000);
        state.eject(Reason::Failures, at(0), &RULES);
        assert_eq!([1000, 6000, 11_000].map(share), [100, 500, 1000]);
    }
}
