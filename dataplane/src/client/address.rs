//! A client's address, and how limits spell it.

use std::{
    fmt::{self, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

/// An address whose port may be unknown. IPv4 inside IPv6 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) port: Option<u16>,
}

impl From<SocketAddr> for Address {
    fn from(peer: SocketAddr) -> Self {
        Self { ip: peer.ip().to_canonical(), port: Some(peer.port()) }
    }
}

impl Address {
    /// Reads `ip`, `ip:port`, `[ip]` or `[ip]:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self { ip: ip.to_canonical(), port: None });
        }
        if let Ok(both) = text.parse::<SocketAddr>() {
            return Some(both.into());
        }
        let ip: Ipv6Addr = text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        Some(Self { ip: ip.to_canonical(), port: None })
    }
}

/// The first `prefix` bits of an address, the rest zero.
pub(super) fn network(ip: Ipv6Addr, prefix: u8) -> u128 {
    let host_bits = 128 - u32::from(prefix.min(128));
    ip.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// Longest text: `[`, 45 bytes of IPv6, `]:`, 5 digits.
const MAX_BYTES: usize = 53;

/// An address spelt out on the stack: `1.2.3.4:80` or `[::1]:80`.
pub(super) struct AddressText {
    bytes: [u8; MAX_BYTES],
    len: usize,
    ip: std::ops::Range<usize>,
    has_port: bool,
}

impl AddressText {
    pub(super) fn new(address: Address) -> Self {
        let mut text = Self { bytes: [0; MAX_BYTES], len: 0, ip: 0..0, has_port: false };
        // Cannot fail: the buffer holds the longest address.
        let _ = text.spell(address);
        text
    }

    /// `ip:port`, if the port is known.
    pub(super) fn ip_port(&self) -> Option<&str> {
        self.has_port.then(|| self.text(0..self.len))
    }

    /// `ip`.
    pub(super) fn ip(&self) -> &str {
        self.text(self.ip.clone())
    }

    fn spell(&mut self, address: Address) -> fmt::Result {
        match address.ip {
            IpAddr::V4(ip) => {
                self.put_dotted(ip.octets())?;
                self.ip = 0..self.len;
            }
            IpAddr::V6(ip) => {
                write!(self, "[{ip}]")?;
                self.ip = 1..self.len - 1;
            }
        }
        let Some(port) = address.port else { return Ok(()) };
        self.has_port = true;
        self.write_str(":")?;
        self.put_number(port)
    }

    /// By hand, because std's formatting costs more than all else here.
    fn put_dotted(&mut self, octets: [u8; 4]) -> fmt::Result {
        for (index, octet) in octets.into_iter().enumerate() {
            if index > 0 {
                self.write_str(".")?;
            }
            self.put_number(octet.into())?;
        }
        Ok(())
    }

    fn put_number(&mut self, number: u16) -> fmt::Result {
        self.write_str(itoa::Buffer::new().format(number))
    }

    fn text(&self, range: std::ops::Range<usize>) -> &str {
        // Only whole `str`s are written, so this is never the default.
        std::str::from_utf8(&self.bytes[range]).unwrap_or_default()
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_spelt_as_std_spells_it() {
        for text in ["1.2.3.4:80", "255.255.255.255:65535", "[::1]:0", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"]
        {
            let peer: SocketAddr = text.parse().unwrap();
            let spelt = AddressText::new(peer.into());
            assert_eq!(spelt.ip_port(), Some(text));
            assert_eq!(spelt.ip(), peer.ip().to_string());
        }
        assert_eq!(AddressText::new(Address::parse("::ffff:1.2.3.4").unwrap()).ip(), "1.2.3.4");
        assert_eq!(AddressText::new(Address::parse("[::1]").unwrap()).ip_port(), None);
    }

    #[test]
    fn garbage_is_no_address() {
        for bad in [
            "",
            " ",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "[::1",
            "[1.2.3.4]",
            "::1]:5",
            "1.2.3.4 x",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_network_keeps_the_prefix_only() {
        let ip: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(Ipv6Addr::from(network(ip, 64)).to_string(), "2001:db8:1:2::");
        assert_eq!(network(ip, 128), ip.to_bits());
        assert_eq!(network(ip, 0), 0);
    }
}
