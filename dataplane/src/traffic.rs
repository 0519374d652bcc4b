//! What a backend has answered so far. Plain numbers that outlive snapshots; `metrics` reads them when it is scraped.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a backend failed a request. An answer, whatever its status, is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made in time.
    Connect,
    /// It did not answer in time.
    Timeout,
    /// It closed the connection without an answer.
    Reset,
    /// It answered something that is not HTTP.
    Garbage,
    /// It broke off in the middle of its answer.
    CutOff,
}

impl Failure {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::Connect, Self::Timeout, Self::Reset, Self::Garbage, Self::CutOff];

    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Garbage => "garbage",
            Self::CutOff => "cut_off",
        }
    }
}

/// Counters of one backend, since the process started.
#[derive(Debug, Default)]
pub struct Traffic {
    answers: [AtomicU64; 5],
    failures: [AtomicU64; Failure::ALL.len()],
}

impl Traffic {
    /// Counts an answer of the backend by the class of its status code.
    pub fn answered(&self, status: u16) {
        self.answers[class_index(status)].fetch_add(1, Relaxed);
    }

    /// Counts a failure of the backend.
    pub fn failed(&self, failure: Failure) {
        self.failures[failure as usize].fetch_add(1, Relaxed);
    }

    /// Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub fn answers(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.answers[class].load(Relaxed))
    }

    /// Failures of this kind.
    pub fn failures(&self, failure: Failure) -> u64 {
        self.failures[failure as usize].load(Relaxed)
    }
}

/// 0 for 1xx up to 4 for 5xx; what HTTP does not define counts with its nearest class.
pub(crate) fn class_index(status: u16) -> usize {
    usize::from(status / 100).clamp(1, 5) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_in_its_class() {
        let traffic = Traffic::default();
        for status in [101, 200, 204, 302, 404, 499, 500, 599, 999] {
            traffic.answered(status);
        }
        assert_eq!(traffic.answers(), [1, 2, 1, 2, 3]);
    }

    #[test]
    fn each_failure_has_its_counter() {
        let traffic = Traffic::default();
        for (count, failure) in (1..).zip(Failure::ALL) {
            (0..count).for_each(|_| traffic.failed(failure));
        }
        assert_eq!(Failure::ALL.map(|failure| traffic.failures(failure)), [1, 2, 3, 4, 5]);
    }
}
