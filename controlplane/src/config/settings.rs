//! `default_limits`, `limits`, `strategy`, `client` and `backend_tls`: what holds for every data plane.

use std::{fs, net::IpAddr};

use ipnet::IpNet;

use super::{
    ConfigError,
    field::{Field, Section},
    tree::Value,
};
use crate::domain::{BackendCa, ClientRules, DefaultLimit, Limit, LimitScope, Settings, Strategy};

const STRATEGIES: [(&str, Strategy); 5] = [
    ("round_robin", Strategy::RoundRobin),
    ("least_connections", Strategy::LeastConnections),
    ("p2c", Strategy::P2c),
    ("random", Strategy::Random),
    ("consistent_hash", Strategy::ConsistentHash),
];

const SCOPES: [(&str, LimitScope); 2] = [("global", LimitScope::Global), ("local", LimitScope::Local)];

/// Reads the five keys of the root.
pub(super) fn read(root: &mut Section) -> Result<Settings, ConfigError> {
    let default_limit = default_limit(root.take("default_limits"))?;
    let strategy = root.take("strategy").map_or(Ok(Strategy::RoundRobin), |f| f.choice(&STRATEGIES))?;
    let client = client(root.section("client")?)?;
    let backend_ca = backend_ca(root.section("backend_tls")?)?;
    let limit_scope = limit_scope(root.section("limits")?)?;
    Ok(Settings { default_limit, strategy, client, backend_ca, limit_scope })
}

fn limit_scope(mut section: Section) -> Result<LimitScope, ConfigError> {
    let scope = section.take("scope").map_or(Ok(LimitScope::Global), |field| field.choice(&SCOPES))?;
    section.finish()?;
    Ok(scope)
}

fn default_limit(field: Option<Field>) -> Result<DefaultLimit, ConfigError> {
    let Some(field) = field else { return Ok(DefaultLimit::Limited(limit(None, None)?)) };
    match &field.node.value {
        Value::Text(word) if word == "unlimited" => Ok(DefaultLimit::Unlimited),
        Value::Map(_) => {
            let mut section = field.section()?;
            let (capacity, rate) = (section.take("capacity"), section.take("rate_per_sec"));
            section.finish()?;
            Ok(DefaultLimit::Limited(limit(capacity, rate)?))
        }
        _ => Err(field.fault("expected a mapping of capacity and rate_per_sec, or the word unlimited")),
    }
}

fn limit(capacity: Option<Field>, rate: Option<Field>) -> Result<Limit, ConfigError> {
    let number = |field: &Option<Field>, default| field.as_ref().map_or(Ok(default), Field::any_number);
    let (c, r) = (number(&capacity, 5.0)?, number(&rate, 0.1)?);
    Limit::new(c, r).map_err(|invalid| {
        let blamed = if invalid.field == "capacity" { &capacity } else { &rate };
        blamed.as_ref().map_or_else(
            || ConfigError { origin: "default".into(), key: invalid.field.into(), problem: invalid.expected.clone() },
            |field| field.fault(&invalid.expected),
        )
    })
}

fn client(mut section: Section) -> Result<ClientRules, ConfigError> {
    let header = section.take("header").map_or(Ok(Some("X-API-Key".to_owned())), |f| header(&f))?;
    let proxies = section.take("trusted_proxies").map_or(Ok(Vec::new()), Field::list)?;
    let trusted_proxies = proxies.iter().map(network).collect::<Result<_, _>>()?;
    let ipv6_prefix = section.take("ipv6_prefix").map_or(Ok(64), |f| f.whole(1..=128))? as u8;
    section.finish()?;
    Ok(ClientRules { header, trusted_proxies, ipv6_prefix })
}

/// The file is read here: what travels on is what it holds.
fn backend_ca(mut section: Section) -> Result<Option<BackendCa>, ConfigError> {
    let field = section.take("ca_file");
    section.finish()?;
    let Some(field) = field else { return Ok(None) };
    let path = field.text()?;
    if path.is_empty() {
        return Ok(None);
    }
    let fault = |why: &dyn std::fmt::Display| {
        field.fault(format!("expected a PEM file with certificates of authorities, got {path}: {why}"))
    };
    let content = fs::read(path).map_err(|e| fault(&e))?;
    // Comments between certificates may be in any encoding.
    BackendCa::new(&String::from_utf8_lossy(&content)).map(Some).map_err(|invalid| fault(&invalid.expected))
}

/// An empty name, or `none`, turns the rule off.
fn header(field: &Field) -> Result<Option<String>, ConfigError> {
    let name = field.text()?;
    if name.is_empty() || name == "none" {
        return Ok(None);
    }
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(_) => Err(field.fault(format!("expected the name of a request header, got {name:?}"))),
    }
}

fn network(field: &Field) -> Result<IpNet, ConfigError> {
    let text = field.text()?;
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| field.fault(format!("expected an address or a CIDR block such as 10.0.0.0/8, got {text:?}")))
}
