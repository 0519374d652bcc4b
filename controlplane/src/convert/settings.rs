//! Settings.

use balancer_proto::v1;

use crate::domain::{DefaultLimit, LimitScope, Settings, Strategy};

/// Settings as they travel.
pub(crate) fn settings(settings: &Settings) -> v1::Settings {
    let client = &settings.client;
    v1::Settings {
        default_limit: Some(default_limit(&settings.default_limit)),
        strategy: strategy(settings.strategy).into(),
        client: Some(v1::ClientRules {
            header: client.header.clone().unwrap_or_default(),
            trusted_proxies: client.trusted_proxies.iter().map(ToString::to_string).collect(),
            ipv6_prefix: client.ipv6_prefix.into(),
        }),
        backend_tls: settings.backend_ca.as_ref().map(|ca| v1::BackendTls { ca_pem: ca.as_pem().to_owned() }),
        limit_scope: limit_scope(settings.limit_scope).into(),
    }
}

/// A scope as it travels.
pub(crate) fn limit_scope(scope: LimitScope) -> v1::LimitScope {
    match scope {
        LimitScope::Global => v1::LimitScope::Global,
        LimitScope::Local => v1::LimitScope::Local,
    }
}

fn default_limit(limit: &DefaultLimit) -> v1::settings::DefaultLimit {
    match limit {
        DefaultLimit::Unlimited => v1::settings::DefaultLimit::Unlimited(v1::Unlimited {}),
        DefaultLimit::Limited(limit) => v1::settings::DefaultLimit::Limited(v1::DefaultLimit {
            capacity: limit.capacity(),
            rate_per_sec: limit.rate_per_sec(),
        }),
    }
}

fn strategy(strategy: Strategy) -> v1::Strategy {
    match strategy {
        Strategy::RoundRobin => v1::Strategy::RoundRobin,
        Strategy::LeastConnections => v1::Strategy::LeastConnections,
        Strategy::P2c => v1::Strategy::P2c,
        Strategy::Random => v1::Strategy::Random,
        Strategy::ConsistentHash => v1::Strategy::ConsistentHash,
    }
}
