//! Wire <-> domain. What cannot be accepted is refused with one sentence that names it.

mod encode;
mod lease;

pub(crate) use encode::{encode_backends, encode_limit, encode_settings};

use std::{collections::HashSet, net::IpAddr};

use balancer_proto::v1 as wire;
use http::{HeaderName, uri::Authority};
use ipnet::IpNet;

use crate::{
    backend_tls::{BackendTls, server_name},
    client::ClientRules,
    limit::{Limit, LimitScope},
    pool::{Health, Scheme, Strategy},
};

const MAX_CLIENT_ID_BYTES: usize = 256;
const MAX_WEIGHT: u32 = 1000;
/// Characters of a client_id that may stand in a log.
const SHOWN_CHARS: usize = 4;

/// Why a step of configuration is not accepted, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A backend as it is configured; what is known of its state is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendSpec {
    pub(crate) id: u64,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) weight: u32,
    pub(crate) draining: bool,
}

/// Settings that hold for every data plane.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) default_limit: Option<Limit>,
    pub(crate) strategy: Strategy,
    pub(crate) client_rules: ClientRules,
    pub(crate) backend_tls: BackendTls,
    pub(crate) limit_scope: LimitScope,
}

fn refuse<T>(reason: String) -> Result<T, Refusal> {
    Err(Refusal(reason))
}

pub(crate) fn limit(wire: &wire::Limit) -> Result<Limit, Refusal> {
    let id = &wire.client_id;
    if id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES || id.chars().any(char::is_control) {
        let id = masked(id);
        return refuse(format!("client_id {id} is not 1 to {MAX_CLIENT_ID_BYTES} bytes of printable text"));
    }
    let (Some(capacity), Some(rate_per_sec)) = (wire.capacity, wire.rate_per_sec) else {
        return refuse(format!("the limit of client {} lacks capacity or rate_per_sec", masked(id)));
    };
    numbers(capacity, rate_per_sec, || format!("the limit of client {}", masked(id)))
}

/// A client_id may be an API key, and a refusal ends up in logs on both sides: its beginning must do.
fn masked(client_id: &str) -> String {
    let shown: String = client_id.chars().take(SHOWN_CHARS).collect();
    format!("{shown:?}…")
}

fn numbers(capacity: f64, rate_per_sec: f64, whose: impl FnOnce() -> String) -> Result<Limit, Refusal> {
    Limit::new(capacity, rate_per_sec).map_err(|fault| Refusal(format!("{}: {fault}", whose())))
}

/// All backends of a pool but the disabled ones.
pub(crate) fn backends(wire: &wire::Pool) -> Result<Vec<BackendSpec>, Refusal> {
    let (mut ids, mut places) = (HashSet::new(), HashSet::new());
    let mut specs = Vec::with_capacity(wire.backends.len());
    for backend in &wire.backends {
        let spec = spec(backend)?;
        if !ids.insert(spec.id) || !places.insert((spec.scheme, spec.authority.clone())) {
            return refuse(format!("backend {} {:?} occurs twice", spec.id, backend.url));
        }
        if backend.admin_state() != wire::AdminState::Disabled {
            specs.push(spec);
        }
    }
    Ok(specs)
}

fn spec(backend: &wire::Backend) -> Result<BackendSpec, Refusal> {
    let (id, url) = (backend.id, &backend.url);
    let Some((scheme, authority)) = place(url) else {
        let expected = "http://host:port, https://host:port or h2c://host:port";
        return refuse(format!("backend {id}: url {url:?} is not {expected}"));
    };
    if backend.weight > MAX_WEIGHT {
        return refuse(format!("backend {id}: weight {} is not 1 to {MAX_WEIGHT}", backend.weight));
    }
    let draining = backend.admin_state() == wire::AdminState::Draining;
    Ok(BackendSpec { id, scheme, authority, weight: backend.weight.max(1), draining })
}

fn place(url: &str) -> Option<(Scheme, Authority)> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, authority): (_, Authority) = (Scheme::of(scheme)?, rest.parse().ok()?);
    let plain = !authority.host().is_empty() && !authority.as_str().contains('@');
    let certifiable = scheme != Scheme::Https || server_name(&authority).is_some();
    (plain && certifiable && authority.port_u16().is_some_and(|port| port > 0)).then_some((scheme, authority))
}

pub(crate) fn settings(wire: &wire::Settings) -> Result<Settings, Refusal> {
    use wire::settings::DefaultLimit::{Limited, Unlimited};
    let default_limit = match &wire.default_limit {
        Some(Limited(limit)) => Some(numbers(limit.capacity, limit.rate_per_sec, || "the default limit".into())?),
        Some(Unlimited(_)) => None,
        // Absent must not read as unlimited.
        None => return refuse("the settings lack the default limit".into()),
    };
    let Some(rules) = &wire.client else { return refuse("the settings lack the client rules".into()) };
    let (strategy, client_rules) = (strategy(wire)?, client_rules(rules)?);
    let (backend_tls, limit_scope) = (backend_tls(wire.backend_tls.as_ref())?, limit_scope(wire)?);
    Ok(Settings { default_limit, strategy, client_rules, backend_tls, limit_scope })
}

fn backend_tls(wire: Option<&wire::BackendTls>) -> Result<BackendTls, Refusal> {
    let ca_pem = wire.map_or("", |tls| &tls.ca_pem);
    BackendTls::new(ca_pem).map_err(|fault| Refusal(format!("backend_tls.ca_pem: {fault}")))
}

fn limit_scope(wire: &wire::Settings) -> Result<LimitScope, Refusal> {
    match wire::LimitScope::try_from(wire.limit_scope) {
        Ok(wire::LimitScope::Global) => Ok(LimitScope::Global),
        Ok(wire::LimitScope::Local | wire::LimitScope::Unspecified) => Ok(LimitScope::Local),
        Err(_) => refuse(format!("limit_scope {} is unknown to this version", wire.limit_scope)),
    }
}

fn strategy(wire: &wire::Settings) -> Result<Strategy, Refusal> {
    match wire::Strategy::try_from(wire.strategy) {
        Ok(wire::Strategy::RoundRobin) => Ok(Strategy::RoundRobin),
        Ok(wire::Strategy::LeastConnections) => Ok(Strategy::LeastConnections),
        Ok(wire::Strategy::P2c) => Ok(Strategy::P2c),
        Ok(wire::Strategy::Random) => Ok(Strategy::Random),
        Ok(wire::Strategy::ConsistentHash) => Ok(Strategy::ConsistentHash),
        Ok(wire::Strategy::Unspecified) => refuse("the settings lack the strategy".into()),
        Err(_) => refuse(format!("strategy {} is unknown to this version", wire.strategy)),
    }
}

fn client_rules(wire: &wire::ClientRules) -> Result<ClientRules, Refusal> {
    let ipv6_prefix = match u8::try_from(wire.ipv6_prefix) {
        Ok(prefix @ 1..=128) => prefix,
        _ => return refuse(format!("client.ipv6_prefix {} is not 1 to 128", wire.ipv6_prefix)),
    };
    let trusted_proxies = wire.trusted_proxies.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
    Ok(ClientRules { header: header(&wire.header)?, trusted_proxies, ipv6_prefix })
}

fn header(name: &str) -> Result<Option<HeaderName>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let parsed = name.parse().map_err(|_| Refusal(format!("client.header {name:?} is not the name of a header")))?;
    Ok(Some(parsed))
}

fn network(text: &str) -> Result<IpNet, Refusal> {
    let parsed = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    parsed.ok_or_else(|| Refusal(format!("client.trusted_proxies {text:?} is not a CIDR block or an address")))
}

/// What the control plane says of a backend; what it does not say, or says in a word of the future, is unknown.
pub(crate) fn health(wire: wire::Health) -> Health {
    match wire {
        wire::Health::Healthy => Health::Healthy,
        wire::Health::Unhealthy => Health::Unhealthy,
        wire::Health::Unspecified | wire::Health::Unknown => Health::Unknown,
    }
}

#[cfg(test)]
mod tests;
