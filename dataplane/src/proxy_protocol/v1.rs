//! Version 1: one line of text.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Longest line with its CR LF; the specification's worst case.
const MAX_LINE_BYTES: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &bytes[..bytes.len().min(MAX_LINE_BYTES)];
    let Some(lf) = memchr::memchr(b'\n', within) else {
        return if bytes.len() < MAX_LINE_BYTES { Ok(None) } else { Err(Malformed) };
    };
    let line = within[..lf].strip_suffix(b"\r").and_then(|line| line.strip_prefix(SIGNATURE)).ok_or(Malformed)?;
    Ok(Some(Header { length: lf + 1, client: client(line)? }))
}

/// `TCP4 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT`, or `UNKNOWN` and anything.
fn client(line: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let parts: Vec<_> = line.split(' ').collect();
    let [family, from, to, from_port, to_port] = parts[..] else { return Err(Malformed) };
    port(to_port)?;
    let from_port = port(from_port)?;
    Ok(Some(match family {
        "TCP4" => both::<Ipv4Addr>(from, to).map(|ip| (ip, from_port).into())?,
        "TCP6" => both::<Ipv6Addr>(from, to).map(|ip| (ip, from_port).into())?,
        _ => return Err(Malformed),
    }))
}

/// The source, if both addresses are of the family.
fn both<Ip: std::str::FromStr>(from: &str, to: &str) -> Result<Ip, Malformed> {
    to.parse::<Ip>().and(from.parse()).map_err(|_| Malformed)
}

/// Decimal, without a sign or leading zeros.
fn port(text: &str) -> Result<u16, Malformed> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical).ok_or(Malformed)
}
