//! A histogram of durations that is recorded without a lock.

use super::Striped;

/// Upper bounds in nanoseconds, inclusive; above the last everything counts as infinite.
const BOUNDS_NS: [u64; 15] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

const SUM: usize = BOUNDS_NS.len() + 1;

/// Counts durations in buckets from 0.5 ms to 30 s.
#[derive(Debug, Default)]
pub struct DurationHistogram(Striped<{ SUM + 1 }>);

/// What a histogram holds at one moment.
#[derive(Debug, PartialEq)]
pub struct Recorded {
    /// Sum of all durations in seconds.
    pub sum_seconds: f64,
    /// How many were recorded.
    pub count: u64,
    /// Upper bound in seconds and how many fell between it and the bound before.
    pub buckets: Vec<(f64, u64)>,
}

impl DurationHistogram {
    /// Records one duration in nanoseconds.
    pub fn record(&self, nanos: u64) {
        self.0.add(BOUNDS_NS.partition_point(|bound| *bound < nanos), 1);
        self.0.add(SUM, nanos);
    }

    /// What was recorded so far. The count is that of the buckets, so the two never contradict each other.
    pub fn recorded(&self) -> Recorded {
        let bounds = BOUNDS_NS.iter().map(|nanos| seconds(*nanos)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.enumerate().map(|(index, bound)| (bound, self.0.sum(index))).collect();
        Recorded { sum_seconds: seconds(self.0.sum(SUM)), count: buckets.iter().map(|(_, count)| count).sum(), buckets }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_up_to_its_bound_inclusive() {
        let histogram = DurationHistogram::default();
        for nanos in [0, 500_000, 500_001, 30_000_000_000, 30_000_000_001] {
            histogram.record(nanos);
        }
        let recorded = histogram.recorded();
        assert_eq!(recorded.count, 5);
        let filled: Vec<_> = recorded.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.0005, 2), (0.001, 1), (30.0, 1), (f64::INFINITY, 1)]);
        assert!((recorded.sum_seconds - 60.001_000_002).abs() < 1e-9);
    }
}
