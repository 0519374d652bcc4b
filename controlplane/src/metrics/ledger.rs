//! Metrics of the ledger.

use std::sync::{Mutex, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{add, signed};
use crate::ledger::{Ledger, Tallies};

/// Typed handles.
pub(super) struct LedgerMetrics {
    asks: Counter,
    grants: Counter,
    whole_grants: Counter,
    refusals: Counter,
    recalls: Counter,
    returns: Counter,
    lost: Counter,
    accounts: Gauge,
    authority: Gauge,
    epoch: Gauge,
    recovering: Gauge,
    factor: Gauge<f64, AtomicU64>,
    /// What the ledger that is kept now had done when it was last looked at.
    seen: Mutex<Tallies>,
}

impl LedgerMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let r = registry.sub_registry_with_prefix("balancer_ledger");
        Self {
            asks: add(r, "asks", "Asks for tokens that data planes sent"),
            grants: add(r, "grants", "Batches of tokens given to data planes"),
            whole_grants: add(r, "whole_grants", "Whole buckets handed over to the one data plane that uses them"),
            refusals: add(r, "refusals", "Asks answered with the time before which there are no tokens"),
            recalls: add(r, "recalls", "Whole buckets asked back because another data plane wants of them"),
            returns: add(r, "returns", "Times a data plane gave tokens back"),
            lost: add(r, "lost", "Data planes that fell silent while they had a lease"),
            accounts: add(r, "accounts", "Clients whose bucket is not full"),
            authority: add(r, "authority", "1 while this control plane keeps the ledger"),
            epoch: add(r, "epoch", "Epoch of the ledger kept here; 0: none is"),
            recovering: add(r, "recovering", "1 while the ledger waits for data planes of the epoch before"),
            factor: add(r, "factor", "Part of every limit that is not set aside for data planes that were lost"),
            seen: Mutex::default(),
        }
    }

    pub(super) fn show(&self, ledger: &Ledger) {
        let now = ledger.tallies();
        let before = std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now);
        self.asks.inc_by(now.asks - before.asks);
        self.grants.inc_by(now.grants - before.grants);
        self.whole_grants.inc_by(now.whole_grants - before.whole_grants);
        self.refusals.inc_by(now.refusals - before.refusals);
        self.recalls.inc_by(now.recalls - before.recalls);
        self.returns.inc_by(now.returns - before.returns);
        self.lost.inc_by(now.lost - before.lost);
        self.accounts.set(signed(ledger.accounts() as u64));
        self.authority.set(1);
        self.epoch.set(signed(ledger.epoch()));
        self.recovering.set(ledger.is_recovering().into());
        self.factor.set(ledger.factor());
    }

    /// There is no ledger, or another one: what counts begins anew.
    pub(super) fn clear(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Tallies::default();
        for gauge in [&self.accounts, &self.authority, &self.epoch, &self.recovering] {
            gauge.set(0);
        }
        self.factor.set(0.0);
    }
}
