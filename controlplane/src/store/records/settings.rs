//! The row of `settings`.

use diesel::prelude::{AsChangeset, Insertable, Queryable, Selectable};
use ipnet::IpNet;

use super::unreadable;
use crate::domain::{BackendCa, ClientRules, DefaultLimit, Limit, LimitScope, Settings, Strategy};
use crate::store::StoreError;
use crate::store::schema::settings;

/// The row of `settings` without its constant id.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = settings, treat_none_as_default_value = false, treat_none_as_null = true)]
pub(in crate::store) struct SettingsRecord {
    default_capacity: Option<f64>,
    default_rate_per_sec: Option<f64>,
    strategy: String,
    client_header: Option<String>,
    trusted_proxies: String,
    ipv6_prefix: i16,
    pub(in crate::store) revision: i64,
    backend_ca: Option<String>,
    limit_scope: String,
}

impl SettingsRecord {
    /// The row for settings that change at `revision`.
    pub(in crate::store) fn new(settings: &Settings, revision: i64) -> Self {
        let limit = match settings.default_limit {
            DefaultLimit::Limited(limit) => Some(limit),
            DefaultLimit::Unlimited => None,
        };
        let proxies: Vec<String> = settings.client.trusted_proxies.iter().map(IpNet::to_string).collect();
        Self {
            default_capacity: limit.map(|l| l.capacity()),
            default_rate_per_sec: limit.map(|l| l.rate_per_sec()),
            strategy: strategy_text(settings.strategy).into(),
            client_header: settings.client.header.clone(),
            trusted_proxies: proxies.join(" "),
            ipv6_prefix: settings.client.ipv6_prefix.into(),
            revision,
            backend_ca: settings.backend_ca.as_ref().map(|ca| ca.as_pem().to_owned()),
            limit_scope: scope_text(settings.limit_scope).into(),
        }
    }
}

impl TryFrom<SettingsRecord> for Settings {
    type Error = StoreError;

    fn try_from(record: SettingsRecord) -> Result<Self, StoreError> {
        let backend_ca = record.backend_ca.as_deref().map(BackendCa::new).transpose();
        let proxies = record.trusted_proxies.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        Ok(Self {
            default_limit: default_limit(record.default_capacity, record.default_rate_per_sec)?,
            strategy: parse_strategy(&record.strategy)?,
            client: ClientRules {
                header: record.client_header,
                trusted_proxies: proxies.map_err(|e: ipnet::AddrParseError| unreadable("settings", &e))?,
                ipv6_prefix: record.ipv6_prefix.try_into().map_err(|e| unreadable("settings", &e))?,
            },
            backend_ca: backend_ca.map_err(|e| unreadable("settings", &e))?,
            limit_scope: parse_scope(&record.limit_scope)?,
        })
    }
}

fn default_limit(capacity: Option<f64>, rate_per_sec: Option<f64>) -> Result<DefaultLimit, StoreError> {
    match (capacity, rate_per_sec) {
        (Some(capacity), Some(rate)) => {
            Limit::new(capacity, rate).map(DefaultLimit::Limited).map_err(|e| unreadable("settings", &e))
        }
        (None, None) => Ok(DefaultLimit::Unlimited),
        _ => Err(unreadable("settings", &"half a default limit")),
    }
}

fn strategy_text(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::RoundRobin => "round_robin",
        Strategy::LeastConnections => "least_connections",
        Strategy::P2c => "p2c",
        Strategy::Random => "random",
        Strategy::ConsistentHash => "consistent_hash",
    }
}

fn parse_strategy(text: &str) -> Result<Strategy, StoreError> {
    use Strategy::{ConsistentHash, LeastConnections, P2c, Random, RoundRobin};
    [RoundRobin, LeastConnections, P2c, Random, ConsistentHash]
        .into_iter()
        .find(|strategy| strategy_text(*strategy) == text)
        .ok_or_else(|| unreadable("settings", &format!("strategy {text:?}")))
}

fn scope_text(scope: LimitScope) -> &'static str {
    match scope {
        LimitScope::Global => "global",
        LimitScope::Local => "local",
    }
}

fn parse_scope(text: &str) -> Result<LimitScope, StoreError> {
    [LimitScope::Global, LimitScope::Local]
        .into_iter()
        .find(|scope| scope_text(*scope) == text)
        .ok_or_else(|| unreadable("settings", &format!("limit_scope {text:?}")))
}
