//! The clock that leases are measured by.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// As in the data plane: it goes on while the machine is suspended, for leases end then too.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// What has passed since the machine was started; never goes back.
pub(crate) fn since_boot() -> Duration {
    let time = clock_gettime(CLOCK);
    // The clock says nothing negative.
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
