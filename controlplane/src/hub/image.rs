//! One immutable picture of the configuration.

use std::sync::Arc;

pub(crate) use balancer_proto::fingerprint::Fingerprint;
use imbl::OrdMap;

use crate::{
    domain::{Backend, ClientRules, DefaultLimit, Limit, Settings, Strategy},
    store::{Changes, Loaded},
};

/// The configuration at one revision. Cloning its map is O(1) and changing one limit of N is O(log N), so that a stream
/// that sends all of it does not stop others from changing it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) store_id: Arc<str>,
    pub(crate) revision: u64,
    pub(crate) limits: OrdMap<Box<str>, Limit>,
    pub(crate) backends: Arc<[Backend]>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) fingerprint: Fingerprint,
}

impl Image {
    pub(super) fn new(loaded: Loaded) -> Self {
        let mut fingerprint = Fingerprint::default();
        let mut limits = OrdMap::new();
        for (id, limit) in loaded.limits {
            fingerprint.add(id.as_str(), limit.capacity(), limit.rate_per_sec());
            limits.insert(id.as_str().into(), limit);
        }
        Self {
            store_id: loaded.store_id.as_str().into(),
            revision: loaded.revision,
            limits,
            backends: loaded.backends.into(),
            settings: Arc::new(loaded.settings.unwrap_or_else(unconfigured)),
            fingerprint,
        }
    }

    pub(super) fn apply(&self, changes: &Changes) -> Self {
        let mut next = Self { revision: changes.revision, ..self.clone() };
        for id in &changes.deleted {
            let old = next.limits.remove(id.as_str());
            next.forget(id.as_str(), old);
        }
        for (id, limit) in &changes.upserted {
            let old = next.limits.insert(id.as_str().into(), *limit);
            next.forget(id.as_str(), old);
            next.fingerprint.add(id.as_str(), limit.capacity(), limit.rate_per_sec());
        }
        if let Some(backends) = &changes.backends {
            next.backends = backends.as_slice().into();
        }
        if let Some(settings) = &changes.settings {
            next.settings = Arc::new(settings.clone());
        }
        next
    }

    fn forget(&mut self, id: &str, old: Option<Limit>) {
        if let Some(old) = old {
            self.fingerprint.remove(id, old.capacity(), old.rate_per_sec());
        }
    }
}

/// Settings of a database that no control plane has reconciled with a file: nothing is limited, nothing is trusted.
fn unconfigured() -> Settings {
    let client = ClientRules { header: None, trusted_proxies: Vec::new(), ipv6_prefix: 64 };
    Settings { default_limit: DefaultLimit::Unlimited, strategy: Strategy::RoundRobin, client }
}
