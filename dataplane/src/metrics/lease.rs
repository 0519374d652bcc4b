//! Counters of tokens that data planes share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::DurationHistogram;
use crate::lease::Tallies;

/// Counters of the lease.
#[derive(Debug, Default)]
pub struct LeaseMetrics {
    asks: AtomicU64,
    grants: AtomicU64,
    refusals: AtomicU64,
    recalls: AtomicU64,
    returns: AtomicU64,
    /// Of leases before the current one.
    before: [AtomicU64; 5],
    clients: AtomicUsize,
    whole: AtomicUsize,
    epoch: AtomicU64,
    alone_ns: AtomicU64,
    waits: DurationHistogram,
}

impl LeaseMetrics {
    /// How the lease stands.
    pub(crate) fn publish(&self, tallies: Tallies, clients: usize, epoch: u64) {
        let Tallies { asks, grants, refusals, recalls, returns } = tallies;
        let counts = [asks, grants, refusals, recalls, returns];
        for ((counter, before), count) in self.counters().into_iter().zip(&self.before).zip(counts) {
            counter.store(before.load(Relaxed) + count, Relaxed);
        }
        self.clients.store(clients, Relaxed);
        self.epoch.store(epoch, Relaxed);
    }

    /// So many buckets are held whole.
    pub(crate) fn counted(&self, whole: usize) {
        self.whole.store(whole, Relaxed);
    }

    /// For so long the ledger's word did not hold.
    pub(crate) fn alone_for(&self, nanos: u64) {
        self.alone_ns.fetch_add(nanos, Relaxed);
    }

    /// A request has waited for tokens.
    pub(crate) fn waited(&self, nanos: u64) {
        self.waits.record(nanos);
    }

    /// The lease is over; counters go on from where they are.
    pub(crate) fn forget(&self) {
        for (counter, before) in self.counters().into_iter().zip(&self.before) {
            before.store(counter.load(Relaxed), Relaxed);
        }
        self.publish(Tallies::default(), 0, 0);
        self.counted(0);
    }

    fn counters(&self) -> [&AtomicU64; 5] {
        [&self.asks, &self.grants, &self.refusals, &self.recalls, &self.returns]
    }

    /// What has been done so far.
    pub fn tallies(&self) -> Tallies {
        let [asks, grants, refusals, recalls, returns] = self.counters().map(|counter| counter.load(Relaxed));
        Tallies { asks, grants, refusals, recalls, returns }
    }

    /// Clients known not to be free.
    pub fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }

    /// Clients whose whole bucket is held, counted once a second.
    pub fn whole(&self) -> usize {
        self.whole.load(Relaxed)
    }

    /// The epoch of the ledger last spoken to; 0: none.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Seconds in which the ledger's word did not hold.
    pub fn alone_seconds(&self) -> f64 {
        self.alone_ns.load(Relaxed) as f64 / 1e9
    }

    /// How long requests waited for tokens, of those that did.
    pub fn waits(&self) -> &DurationHistogram {
        &self.waits
    }
}
