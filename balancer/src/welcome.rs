//! Where things are, for whoever started this by hand.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Says where the planes serve.
pub(crate) fn print(proxy: SocketAddr, admin: SocketAddr, database: &str) {
    let (proxy, admin) = (reachable(proxy), reachable(admin));
    let text = format!(
        "\n  proxy     http://{proxy}\n  admin     http://{admin}  (gRPC, REST; see /docs, /metrics)\n  database  {database}\n  \
         try       balancerctl --endpoint http://{admin} status\n\n"
    );
    // Nobody reads it: no reason not to serve.
    let _ = std::io::stderr().write_all(text.as_bytes());
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
