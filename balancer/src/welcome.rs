//! Where things are, for whoever started this by hand.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Says where the planes serve; both are URLs.
pub(crate) fn print(proxy: &str, admin: &str, database: &str) {
    let text = format!(
        "\n  proxy     {proxy}\n  admin     {admin}  (gRPC, REST; see /docs, /metrics)\n  database  {database}\n  \
         try       balancerctl --endpoint {admin} status\n\n"
    );
    // Nobody reads it: no reason not to serve.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where a person on this machine finds a server.
pub(crate) fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{}", if tls { "https" } else { "http" }, reachable(address))
}

/// An address that a program on this machine can connect to: a server that listens everywhere is found on loopback.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_reached_on_loopback() {
        for (listens, reached) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.7:1", "10.0.0.7:1")] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
