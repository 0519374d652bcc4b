//! File descriptors: what bounds the number of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for any machine; some systems allow a billion.
const MOST: u64 = 1 << 20;

/// The admin port's share of them. The rest is for the database, health checks, logs, and, in a process that is both
/// planes, for clients and backends: whoever floods the admin port must not take those away.
const SHARE: u64 = 8;

/// Raises this process's limit on open files as far as it may be raised.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// Connections of the admin port for which there are descriptors.
pub(crate) fn affordable_connections() -> usize {
    affordable(getrlimit(Resource::Nofile).current.unwrap_or(MOST))
}

fn affordable(limit: u64) -> usize {
    // At least a few: better to try and fail than to serve nobody.
    usize::try_from(limit.min(MOST) / SHARE).unwrap_or(usize::MAX).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth() {
        assert_eq!([0, 400, 1024, u64::MAX].map(affordable), [8, 50, 128, 131_072]);
    }
}
