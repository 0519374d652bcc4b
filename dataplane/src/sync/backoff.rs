//! Exponential backoff with full jitter: each wait is drawn evenly from zero up to a ceiling that doubles, so that
//! many data planes that lost the same control plane do not come back together.

use std::time::Duration;

const FIRST_CEILING: Duration = Duration::from_millis(50);

/// How often an attempt failed in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    last_ceiling: Duration,
}

impl Backoff {
    /// The longest wait is `last_ceiling`.
    pub(crate) fn up_to(last_ceiling: Duration) -> Self {
        Self { failures: 0, last_ceiling }
    }

    /// Counts a failure and says how long to wait; `random` is from [0, 1).
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let ceiling = FIRST_CEILING.saturating_mul(1 << self.failures.min(16)).min(self.last_ceiling);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// Something worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAST_CEILING: Duration = Duration::from_secs(5);

    #[test]
    fn the_ceiling_doubles_from_50_ms_to_5_s_and_starts_over() {
        let mut backoff = Backoff::up_to(LAST_CEILING);
        let ceilings: Vec<_> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(ceilings, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), FIRST_CEILING);
    }

    proptest! {
        #[test]
        fn a_wait_is_between_zero_and_the_last_ceiling(failures: u32, random in 0.0..1.0f64) {
            let mut backoff = Backoff { failures, last_ceiling: LAST_CEILING };
            let wait = backoff.next(random);
            prop_assert!(wait <= LAST_CEILING);
            prop_assert!((wait.as_secs_f64() >= LAST_CEILING.as_secs_f64() * random - 1e-6) || failures < 7);
        }
    }
}
