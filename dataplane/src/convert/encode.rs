//! Domain -> wire, for the saved snapshot.

use balancer_proto::v1 as wire;

use crate::{
    client::ClientRules,
    limit::{Limit, LimitScope},
    pool::Backend,
    pool::Strategy,
    snapshot::Snapshot,
};

pub(crate) fn encode_limit(client_id: &str, limit: Limit) -> wire::Limit {
    wire::Limit {
        client_id: client_id.into(),
        capacity: Some(limit.capacity()),
        rate_per_sec: Some(limit.rate_per_sec()),
    }
}

pub(crate) fn encode_backends(snapshot: &Snapshot) -> wire::Pool {
    wire::Pool { backends: snapshot.pool.backends().iter().map(|backend| encode_backend(backend)).collect() }
}

fn encode_backend(backend: &Backend) -> wire::Backend {
    let admin_state = if backend.draining { wire::AdminState::Draining } else { wire::AdminState::Active };
    wire::Backend {
        id: backend.id,
        url: backend.url(),
        weight: backend.weight,
        admin_state: admin_state.into(),
        ..Default::default()
    }
}

pub(crate) fn encode_settings(snapshot: &Snapshot) -> wire::Settings {
    wire::Settings {
        default_limit: Some(encode_default_limit(snapshot.default_limit)),
        strategy: encode_strategy(snapshot.pool.strategy()).into(),
        client: Some(encode_client_rules(&snapshot.client_rules)),
        backend_tls: encode_backend_tls(snapshot.backend_tls.ca_pem()),
        limit_scope: encode_limit_scope(snapshot.limit_scope).into(),
    }
}

fn encode_limit_scope(scope: LimitScope) -> wire::LimitScope {
    match scope {
        LimitScope::Local => wire::LimitScope::Local,
        LimitScope::Global => wire::LimitScope::Global,
    }
}

fn encode_backend_tls(ca_pem: &str) -> Option<wire::BackendTls> {
    (!ca_pem.is_empty()).then(|| wire::BackendTls { ca_pem: ca_pem.into() })
}

fn encode_default_limit(limit: Option<Limit>) -> wire::settings::DefaultLimit {
    use wire::settings::DefaultLimit::{Limited, Unlimited};
    match limit {
        Some(limit) => Limited(wire::DefaultLimit { capacity: limit.capacity(), rate_per_sec: limit.rate_per_sec() }),
        None => Unlimited(wire::Unlimited {}),
    }
}

fn encode_strategy(strategy: Strategy) -> wire::Strategy {
    match strategy {
        Strategy::RoundRobin => wire::Strategy::RoundRobin,
        Strategy::LeastConnections => wire::Strategy::LeastConnections,
        Strategy::P2c => wire::Strategy::P2c,
        Strategy::Random => wire::Strategy::Random,
        Strategy::ConsistentHash => wire::Strategy::ConsistentHash,
    }
}

fn encode_client_rules(rules: &ClientRules) -> wire::ClientRules {
    wire::ClientRules {
        header: rules.header.as_ref().map(ToString::to_string).unwrap_or_default(),
        trusted_proxies: rules.trusted_proxies.iter().map(ToString::to_string).collect(),
        ipv6_prefix: rules.ipv6_prefix.into(),
    }
}
