//! CPU time of this thread, and memory of this process.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Adds up, and keeps the longest.
#[derive(Clone, Copy, Default)]
pub(crate) struct Meter {
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Meter {
    pub(crate) fn time<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let begun = now();
        let result = act();
        let time = now() - begun;
        self.total += time;
        self.longest = self.longest.max(time);
        result
    }
}

/// CPU time of this thread.
fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Memory of this process that belongs to no file, in bytes.
pub(crate) fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
