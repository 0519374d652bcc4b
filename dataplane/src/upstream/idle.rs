//! Connections that wait for their next request. One pool per thread: no lock, no wake-up across threads.

use std::collections::HashMap;

use super::Upstream;
use crate::clock::Nanos;

/// Idle connections by backend id, the most recently used first.
pub(crate) struct IdlePool {
    by_backend: HashMap<u64, Vec<Idle>, foldhash::fast::RandomState>,
    max_per_backend: usize,
}

struct Idle {
    upstream: Upstream,
    since: Nanos,
}

impl IdlePool {
    /// An empty pool that keeps at most `max_per_backend` connections to one backend.
    pub(crate) fn new(max_per_backend: usize) -> Self {
        Self { by_backend: HashMap::default(), max_per_backend }
    }

    /// Takes a connection that can be used at once.
    pub(crate) fn take(&mut self, backend_id: u64) -> Option<Upstream> {
        let idle = self.by_backend.get_mut(&backend_id)?;
        loop {
            let mut upstream = idle.pop()?.upstream;
            if upstream.is_usable() {
                return Some(upstream);
            }
        }
    }

    /// Puts a connection back; drops it if the pool is full. Whether it can be used is asked when it is taken.
    pub(crate) fn put(&mut self, backend_id: u64, upstream: Upstream, now: Nanos) {
        let idle = self.by_backend.entry(backend_id).or_default();
        if idle.len() < self.max_per_backend {
            idle.push(Idle { upstream, since: now });
        }
    }

    /// Forgets all connections to a backend that just turned out to be gone.
    pub(crate) fn clear(&mut self, backend_id: u64) {
        self.by_backend.remove(&backend_id);
    }

    /// Drops connections that were closed by the backend, idle since before `deadline`, or to a backend not `known`.
    pub(crate) fn sweep(&mut self, deadline: Nanos, known: impl Fn(u64) -> bool) {
        self.by_backend.retain(|id, idle| {
            idle.retain_mut(|i| i.since > deadline && i.upstream.is_usable());
            known(*id) && !idle.is_empty()
        });
    }
}
