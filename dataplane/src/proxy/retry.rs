//! How often a request may be tried again: a share of all requests, so that retries cannot pile up on a backend that
//! fails under load. After Finagle's retry budget: over a sliding window, retries may be 20 % of the requests, and
//! 3 per second in any case.

use std::sync::{Mutex, PoisonError};

use crate::clock::Nanos;

const WINDOW_SEC: usize = 10;
const SHARE: f64 = 0.2;
const ALWAYS_PER_SEC: f64 = 3.0;

/// The budget of one data plane, shared by its threads. Requests do not touch it: only a retry asks.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget(Mutex<Window>);

/// The last seconds that were observed, in a ring.
#[derive(Debug, Default)]
struct Window {
    seconds: [Option<Second>; WINDOW_SEC],
}

#[derive(Clone, Copy, Debug)]
struct Second {
    /// Which second since the process started this is.
    number: u64,
    /// Requests ever started, as first seen in this second.
    requests_total: u64,
    retries: u64,
}

impl RetryBudget {
    /// Notes how many requests were ever started. Called about once a second.
    pub(crate) fn observe(&self, now: Nanos, requests_total: u64) {
        self.lock().second(now, requests_total);
    }

    /// Takes one retry out of the budget; false if none is left.
    pub(crate) fn withdraw(&self, now: Nanos, requests_total: u64) -> bool {
        let mut window = self.lock();
        let current = window.second(now, requests_total).number;
        let is_recent = |s: &&Second| current.checked_sub(s.number).is_some_and(|age| age < WINDOW_SEC as u64);
        let recent = || window.seconds.iter().flatten().filter(is_recent);
        let oldest_total = recent().map(|s| s.requests_total).min().unwrap_or(requests_total);
        let requests = requests_total.saturating_sub(oldest_total);
        let retries: u64 = recent().map(|s| s.retries).sum();
        let allowed = SHARE * requests as f64 + ALWAYS_PER_SEC * WINDOW_SEC as f64;
        let granted = (retries as f64) < allowed;
        if granted {
            window.second(now, requests_total).retries += 1;
        }
        granted
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Window> {
        // Plain counters: a thread that panicked while holding the lock left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn second(&mut self, now: Nanos, requests_total: u64) -> &mut Second {
        let number = now.0 / Nanos::SECOND.0;
        let entry = &mut self.seconds[number as usize % WINDOW_SEC];
        let fresh = Second { number, requests_total, retries: 0 };
        match entry {
            Some(second) if second.number == number => {}
            _ => *entry = None,
        }
        entry.get_or_insert(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Nanos {
        Nanos(second * Nanos::SECOND.0)
    }

    fn withdrawn(budget: &RetryBudget, now: Nanos, total: u64) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now, total)).count()
    }

    #[test]
    fn without_load_three_a_second_over_the_window() {
        let budget = RetryBudget::default();
        assert_eq!(withdrawn(&budget, at(100), 0), 30);
        assert_eq!(withdrawn(&budget, at(109), 0), 0);
        assert_eq!(withdrawn(&budget, at(110), 0), 30);
    }

    #[test]
    fn under_load_a_fifth_of_the_requests() {
        let budget = RetryBudget::default();
        (100..=109).for_each(|s| budget.observe(at(s), (s - 100) * 1000));
        assert_eq!(withdrawn(&budget, at(109), 9000), 30 + 1800);
    }

    #[test]
    fn requests_of_long_ago_do_not_count() {
        let budget = RetryBudget::default();
        budget.observe(at(100), 0);
        budget.observe(at(200), 1_000_000);
        assert_eq!(withdrawn(&budget, at(200), 1_000_000), 30);
    }
}
