//! The monotonic clock. Nothing else in the data plane asks the operating system for the time of a decision.

use std::{sync::LazyLock, time::Instant};

/// The clock ticks every 8 ns, so that times leave room for three bits of a bucket's state.
const TICK: u64 = 8;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

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
    let elapsed = START.elapsed();
    let nanos = elapsed.as_secs() * Nanos::SECOND.0 + u64::from(elapsed.subsec_nanos());
    Nanos(nanos & !(TICK - 1))
}
