//! What a backend has answered so far. Plain numbers that outlive snapshots; `metrics` reads them when it is scraped.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one backend, since the process started.
#[derive(Debug, Default)]
pub struct Traffic {
    answers: [AtomicU64; 5],
    connect_failures: AtomicU64,
}

impl Traffic {
    /// Counts an answer of the backend by the class of its status code.
    pub fn answered(&self, status: u16) {
        self.answers[class_index(status)].fetch_add(1, Relaxed);
    }

    /// Counts a connection that could not be made.
    pub fn connect_failed(&self) {
        self.connect_failures.fetch_add(1, Relaxed);
    }

    /// Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub fn answers(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.answers[class].load(Relaxed))
    }

    /// Connections that could not be made.
    pub fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Relaxed)
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
}
