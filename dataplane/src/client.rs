//! Whose request is it?
//!
//! 1. The value of the configured header, if a limit with that client_id exists;
//! 2. else the address as `ip:port`, if a limit names it;
//! 3. else the address as `ip`, if a limit names it;
//! 4. else the address (IPv6: its network) under the default limit.
//!
//! So an invented header value gets nobody a bucket of its own. The address is the peer's, or what trusted proxies say.

mod address;
mod forwarded;

#[cfg(test)]
mod tests;

use std::{
    hash::BuildHasher,
    net::{IpAddr, SocketAddr},
};

use balancer_proto::lease_key;
use http::HeaderName;
use ipnet::IpNet;
use xxhash_rust::xxh3::xxh3_64;

use self::address::{Address, AddressText};
use crate::{
    http1::Head,
    limit::Limit,
    limiter::LimitKind,
    limits::{Limits, hash::Seeded},
};

/// How the client of a request is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRules {
    /// Request header whose value names the client if a limit for it exists; `None`: no header does.
    pub header: Option<HeaderName>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Prefix length by which IPv6 clients without a limit of their own share a bucket, 1 to 128.
    pub ipv6_prefix: u8,
}

impl Client {
    /// The key by which data planes and the ledger speak of its bucket.
    pub fn lease_key(&self) -> u64 {
        match self.kind {
            LimitKind::Client => lease_key::with_own_limit(self.stable_hash),
            LimitKind::Default => lease_key::under_default_limit(self.stable_hash),
        }
    }
}

impl ClientRules {
    /// Whether `ip` is a proxy whose word about its clients is believed.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&ip))
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// Key of its bucket, together with `kind`. Hashed under a secret of this process.
    pub key: u64,
    /// The same in every process: what consistent hashing goes by.
    pub stable_hash: u64,
    /// The peer, or the client that trusted proxies name. IPv4 inside IPv6 counts as IPv4.
    pub address: IpAddr,
    /// Whose limit it is.
    pub kind: LimitKind,
    /// `None`: unlimited.
    pub limit: Option<Limit>,
}

/// Finds the client of a request that came from `peer`. Allocates nothing.
pub fn identify(rules: &ClientRules, limits: &Limits, default: Option<Limit>, head: &Head, peer: SocketAddr) -> Client {
    let address = forwarded::effective(Address::from(peer), &rules.trusted_proxies, head);
    by_header(rules, limits, head, address)
        .or_else(|| by_address(limits, address))
        .unwrap_or_else(|| anonymous(rules, default, address))
}

/// Key of a named client's bucket.
pub fn client_key(id: &str) -> u64 {
    Seeded.hash_one(id)
}

fn by_header(rules: &ClientRules, limits: &Limits, head: &Head, address: Address) -> Option<Client> {
    let value = head.get(rules.header.as_ref()?.as_str())?;
    // A client_id may hold letters beyond ASCII.
    named(limits, std::str::from_utf8(value).ok()?, address)
}

fn by_address(limits: &Limits, address: Address) -> Option<Client> {
    if limits.is_empty() {
        return None;
    }
    let text = AddressText::new(address);
    text.ip_port().and_then(|id| named(limits, id, address)).or_else(|| named(limits, text.ip(), address))
}

fn named(limits: &Limits, id: &str, address: Address) -> Option<Client> {
    let limit = limits.get(id)?;
    Some(Client {
        key: client_key(id),
        stable_hash: xxh3_64(id.as_bytes()),
        address: address.ip,
        kind: LimitKind::Client,
        limit: Some(limit),
    })
}

fn anonymous(rules: &ClientRules, limit: Option<Limit>, address: Address) -> Client {
    let (key, stable_hash) = match address.ip {
        IpAddr::V4(ip) => (Seeded.hash_one(ip.to_bits()), xxh3_64(&ip.octets())),
        IpAddr::V6(ip) => {
            let network = address::network(ip, rules.ipv6_prefix);
            (Seeded.hash_one(network), xxh3_64(&network.to_be_bytes()))
        }
    };
    Client { key, stable_hash, address: address.ip, kind: LimitKind::Default, limit }
}
