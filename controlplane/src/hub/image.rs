//! One immutable picture of the configuration.

use std::sync::Arc;

pub(crate) use balancer_proto::fingerprint::Fingerprint;
use imbl::OrdMap;
use prost::Message;
use xxhash_rust::xxh3::Xxh3;

use super::Held;
use crate::{
    convert,
    domain::{Backend, ClientRules, DefaultLimit, Limit, LimitScope, Settings, Strategy},
    store::{Changes, Loaded, Origin},
};

/// The configuration at one revision. Cloning its map is O(1) and changing one limit of N is O(log N), so that a stream
/// that sends all of it does not stop others from changing it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) store_id: Arc<str>,
    pub(crate) revision: u64,
    /// Tells the revision from the same number in another past of the database.
    mark: i64,
    /// Counts how often everything was read anew: what was held before may come from another past.
    pub(crate) generation: u64,
    pub(crate) limits: OrdMap<Box<str>, Limit>,
    pub(crate) backends: Arc<[Backend]>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) fingerprint: Fingerprint,
    /// Identity of backends and settings as data planes get them; see `Update.config_tag`.
    pub(crate) config_tag: u64,
}

impl Image {
    pub(crate) fn new(loaded: Loaded, generation: u64) -> Self {
        let mut fingerprint = Fingerprint::default();
        let mut limits = OrdMap::new();
        for (id, limit) in loaded.limits {
            fingerprint.add(id.as_str(), limit.capacity(), limit.rate_per_sec());
            limits.insert(id.as_str().into(), limit);
        }
        let settings = loaded.settings.unwrap_or_else(unconfigured);
        Self {
            store_id: loaded.store_id.as_str().into(),
            revision: loaded.revision,
            mark: loaded.mark,
            generation,
            limits,
            config_tag: config_tag(&loaded.backends, &settings),
            backends: loaded.backends.into(),
            settings: Arc::new(settings),
            fingerprint,
        }
    }

    pub(super) fn apply(&self, changes: &Changes) -> Self {
        let mut next = Self { revision: changes.revision, mark: changes.mark, ..self.clone() };
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
        if changes.backends.is_some() || changes.settings.is_some() {
            next.config_tag = config_tag(&next.backends, &next.settings);
        }
        next
    }

    /// What a data plane holds that has taken this in.
    pub(crate) fn held(&self) -> Held {
        Held {
            store_id: self.store_id.clone(),
            revision: self.revision,
            fingerprint: self.fingerprint,
            config_tag: self.config_tag,
        }
    }

    /// Where the revision was read.
    pub(super) fn origin(&self) -> Origin {
        Origin { store_id: self.store_id.to_string(), mark: self.mark }
    }

    fn forget(&mut self, id: &str, old: Option<Limit>) {
        if let Some(old) = old {
            self.fingerprint.remove(id, old.capacity(), old.rate_per_sec());
        }
    }
}

/// XXH3 of both as they travel: equal for every control plane of this version, whatever the database went through.
fn config_tag(backends: &[Backend], settings: &Settings) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&convert::pool(backends).encode_length_delimited_to_vec());
    hasher.update(&convert::settings(settings).encode_length_delimited_to_vec());
    // 0 means that there is none.
    hasher.digest().max(1)
}

/// Settings of a database that no control plane has reconciled with a file: nothing is limited, nothing is trusted.
fn unconfigured() -> Settings {
    let client = ClientRules { header: None, trusted_proxies: Vec::new(), ipv6_prefix: 64 };
    Settings {
        default_limit: DefaultLimit::Unlimited,
        strategy: Strategy::RoundRobin,
        client,
        backend_ca: None,
        limit_scope: LimitScope::Local,
    }
}
