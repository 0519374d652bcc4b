//! What tests of the wire need again and again.

use std::sync::Arc;

use balancer_proto::{fingerprint::Fingerprint, v1 as wire};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::{shared::Shared, sync::Holder};

pub(crate) const STORE: &str = "store-1";

pub(crate) fn limit(client_id: &str, capacity: f64, rate_per_sec: f64) -> wire::Limit {
    wire::Limit { client_id: client_id.into(), capacity: Some(capacity), rate_per_sec: Some(rate_per_sec) }
}

pub(crate) fn backend(id: u64, url: &str) -> wire::Backend {
    wire::Backend { id, url: url.into(), weight: 1, ..Default::default() }
}

pub(crate) fn pool() -> wire::Pool {
    wire::Pool { backends: vec![backend(1, "http://127.0.0.1:8081"), backend(2, "http://127.0.0.1:8082")] }
}

pub(crate) fn settings() -> wire::Settings {
    wire::Settings {
        default_limit: Some(wire::settings::DefaultLimit::Limited(wire::DefaultLimit {
            capacity: 5.0,
            rate_per_sec: 0.1,
        })),
        strategy: wire::Strategy::RoundRobin.into(),
        client: Some(wire::ClientRules {
            header: "x-api-key".into(),
            trusted_proxies: vec!["10.0.0.0/8".into()],
            ipv6_prefix: 64,
        }),
        ..Default::default()
    }
}

pub(crate) fn fingerprint(limits: &[wire::Limit]) -> u64 {
    let mut sum = Fingerprint::default();
    for limit in limits {
        sum.add(&limit.client_id, limit.capacity(), limit.rate_per_sec());
    }
    sum.value()
}

/// A full step in one chunk.
pub(crate) fn full(revision: u64, limits: &[wire::Limit]) -> wire::Update {
    wire::Update {
        store_id: STORE.into(),
        full: true,
        revision,
        last_chunk: true,
        upserted_limits: limits.to_vec(),
        pool: Some(pool()),
        settings: Some(settings()),
        fingerprint: fingerprint(limits),
        ..Default::default()
    }
}

/// A change of limits in one chunk; `after` is all limits there are then.
pub(crate) fn change(base: u64, revision: u64, upserted: &[wire::Limit], after: &[wire::Limit]) -> wire::Update {
    wire::Update {
        store_id: STORE.into(),
        base_revision: base,
        revision,
        last_chunk: true,
        upserted_limits: upserted.to_vec(),
        fingerprint: fingerprint(after),
        ..Default::default()
    }
}

/// An empty plane, and the one who fills it.
pub(crate) fn plane() -> (Holder, Arc<Shared>) {
    let shared = Shared::new(64, &mut Registry::default());
    (Holder::new(Arc::clone(&shared), watch::channel(None).0), shared)
}
