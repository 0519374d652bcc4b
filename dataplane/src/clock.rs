//! The monotonic clock. Nothing else in the data plane asks the operating system for the time of a decision.
//!
//! On Linux it is CLOCK_BOOTTIME, which goes on while the machine is suspended: CLOCK_MONOTONIC stands still then, and a
//! data plane that wakes up would believe in a lease that has ended for everybody else. Both are read without a system call.

use std::sync::LazyLock;

use rustix::time::{ClockId, clock_gettime};

/// The clock ticks every 8 ns, so that times leave room for three bits of a bucket's state.
const TICK: u64 = 8;

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

static START: LazyLock<u64> = LazyLock::new(nanos);

/// Nanoseconds since the process started; never goes back, whatever happens to wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);

    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment plus `nanos`, at most the end of time.
    pub fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// The time now.
pub fn now() -> Nanos {
    // The start first: else it would be later.
    let start = *START;
    Nanos(nanos().saturating_sub(start) & !(TICK - 1))
}

/// Nanoseconds since the machine was started; the clock says nothing negative.
fn nanos() -> u64 {
    let time = clock_gettime(CLOCK);
    time.tv_sec.cast_unsigned() * Nanos::SECOND.0 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_on_as_fast_as_time_does() {
        let (before, start) = (now(), Instant::now());
        while start.elapsed() < Duration::from_millis(2) {
            assert!(now() >= before && now().0.is_multiple_of(TICK));
        }
        let (passed, at_least) = (now().since(before), Duration::from_millis(2).as_nanos() as u64 - TICK);
        assert!((at_least..=start.elapsed().as_nanos() as u64 + 1_000_000_000).contains(&passed), "{passed}");
    }
}
