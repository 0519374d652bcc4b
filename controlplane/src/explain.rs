//! Which limit applies to a client, and under which key its tokens are.
//!
//! The rules are the data planes': the limit that names the client, else the one that names its `ip:port`, else its ip,
//! else the default limit for the ip (IPv6: its network).

mod verdict;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use balancer_proto::lease_key;

use crate::{
    domain::{DefaultLimit, Limit},
    hub::Image,
};

pub(crate) use verdict::verdict;

/// A client's limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    pub(crate) whose: Whose,
    /// The client_id of the limit; under the default limit the address or network that shares the bucket.
    pub(crate) bucket: String,
    /// `None`: unlimited.
    pub(crate) limit: Option<Limit>,
    /// Of the bucket.
    pub(crate) key: u64,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The client's own.
    Own,
    /// The default.
    Default,
}

/// The limit of a client_id, an ip or ip:port; `None`: no limit names it, and it is no address.
pub(crate) fn applied(image: &Image, client: &str) -> Option<Applied> {
    let own = |id: &str| {
        let limit = *image.limits.get(id)?;
        Some(Applied { whose: Whose::Own, bucket: id.to_owned(), limit: Some(limit), key: lease_key::of_client(id) })
    };
    own(client).or_else(|| {
        let (ip, port) = address(client)?;
        let with_port = port.and_then(|port| own(&SocketAddr::new(ip, port).to_string()));
        with_port.or_else(|| own(&ip.to_string())).or_else(|| Some(anonymous(image, ip)))
    })
}

fn anonymous(image: &Image, ip: IpAddr) -> Applied {
    let settings = &image.settings;
    let prefix = settings.client.ipv6_prefix;
    let limit = match settings.default_limit {
        DefaultLimit::Limited(limit) => Some(limit),
        DefaultLimit::Unlimited => None,
    };
    let bucket = match ip {
        IpAddr::V6(ip) if prefix < 128 => format!("{}/{prefix}", lease_key::network(ip, prefix)),
        _ => ip.to_string(),
    };
    Applied { whose: Whose::Default, bucket, limit, key: lease_key::of_address(ip, prefix) }
}

/// Reads `ip`, `ip:port`, `[ip]` or `[ip]:port`. IPv4 inside IPv6 is IPv4.
fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    match text.parse::<SocketAddr>() {
        Ok(both) => Some((both.ip().to_canonical(), Some(both.port()))),
        Err(_) => Some((text.parse().ok().or_else(bracketed)?.to_canonical(), None)),
    }
}

#[cfg(test)]
mod tests;
