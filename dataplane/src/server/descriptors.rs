//! File descriptors: what bounds the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for any machine; some systems allow a billion, which other code may take for a size to allocate.
const MOST: u64 = 1 << 20;

/// Descriptors that are not connections of clients or to backends: logs, the admin port, the database of a control
/// plane in the same process, clients being refused.
const RESERVE: u64 = 192;

/// Of each thread: its listener, its runtime, and some air.
const RESERVE_PER_THREAD: u64 = 8;

/// Most pipes of a thread: each is two descriptors. Only receivers that do not keep up hold one for longer than a moment.
const MAX_PIPES: u64 = 64;

/// Of the limit on open files, so much is for each pipe of all threads: pipes take a sixteenth at most.
const LIMIT_PER_PIPE: u64 = 32;

/// Raises this process's limit on open files as far as it may be raised.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => tracing::debug!(from = current, to = wanted, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, "the limit on open files could not be raised"),
    }
}

/// Connections of clients for which there are descriptors. A quarter is left for connections to backends: of many
/// clients, most are idle at any moment.
pub(super) fn affordable_connections(threads: usize) -> usize {
    affordable(limit(), threads as u64)
}

/// Pipes that each thread may have.
pub(super) fn pipes_per_thread(threads: usize) -> usize {
    usize::try_from(pipes(limit(), threads as u64)).unwrap_or(usize::MAX)
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST)
}

fn pipes(limit: u64, threads: u64) -> u64 {
    (limit / LIMIT_PER_PIPE / threads.max(1)).min(MAX_PIPES)
}

fn affordable(limit: u64, threads: u64) -> usize {
    let of_thread = RESERVE_PER_THREAD + 2 * pipes(limit, threads);
    let left = limit.saturating_sub(RESERVE).saturating_sub(of_thread.saturating_mul(threads));
    // At least a few: better to try and fail than to serve nobody.
    usize::try_from(left / 4 * 3).unwrap_or(usize::MAX).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_quarters_of_what_is_not_reserved() {
        assert_eq!(affordable(1024, 2), (1024 - 192 - 16 - 64) / 4 * 3);
        assert_eq!(affordable(64, 2), 16);
        assert_eq!(affordable(MOST, u64::MAX), 16);
        assert!(affordable_connections(1) >= 16);
    }

    #[test]
    fn pipes_take_a_sixteenth_at_most() {
        assert_eq!(
            [(MOST, 2), (1024, 2), (1024, 64), (64, 4)].map(|(limit, threads)| pipes(limit, threads)),
            [64, 16, 0, 0]
        );
        assert!(pipes_per_thread(1) > 0);
    }
}
