//! What the request path, the sync task and the admin port share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use prometheus_client::registry::Registry;

use crate::{
    leasing::LeaseDesk,
    limiter::BucketTable,
    metrics::{Metrics, Scrape},
    pool::Queue,
    snapshot::Snapshot,
};

/// State that outlives snapshots, and the pointer to the current one.
pub struct Shared {
    /// The current snapshot; empty until the first arrives. A request loads it once and uses only that.
    pub snapshot: ArcSwapOption<Snapshot>,
    /// Tokens of every client, whatever snapshot holds.
    pub buckets: BucketTable,
    /// Tokens that are shared with other data planes.
    pub leases: LeaseDesk,
    /// Requests that wait for a backend with room.
    pub queue: Arc<Queue>,
    /// All counters.
    pub metrics: Metrics,
    draining: AtomicBool,
}

impl Shared {
    /// Nothing known yet, with room for `max_clients` buckets; its metrics are registered in `registry`.
    pub fn new(max_clients: usize, registry: &mut Registry) -> Arc<Self> {
        let shared = Arc::new(Self {
            snapshot: ArcSwapOption::empty(),
            buckets: BucketTable::new(max_clients),
            leases: LeaseDesk::default(),
            queue: Arc::default(),
            metrics: Metrics::default(),
            draining: AtomicBool::new(false),
        });
        registry.sub_registry_with_prefix("balancer").register_collector(Box::new(Scrape::new(&shared)));
        shared
    }

    /// Says that no new connections are taken any more.
    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Why no traffic should be sent here; `None`: it is welcome.
    pub fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Relaxed) {
            return Some("shutting down");
        }
        if self.snapshot.load().is_none() {
            return Some("no snapshot yet: waiting for the control plane");
        }
        (!self.leases.is_settled())
            .then_some("no share of limits yet: waiting for the control plane that keeps the ledger")
    }
}
