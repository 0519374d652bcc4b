//! Version 2: binary.
//!
//! 12 bytes of signature, version and command, family and transport, two bytes of length; then the addresses, then
//! extensions.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, MAX_HEADER_BYTES, Malformed};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const FIXED_BYTES: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Bytes of the addresses and ports of each family.
const TCP4_BYTES: usize = 12;
const TCP6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let command = bytes.get(SIGNATURE.len());
    if command.is_some_and(|command| !matches!(*command, LOCAL | PROXY)) {
        return Err(Malformed);
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED_BYTES + length > MAX_HEADER_BYTES {
        return Err(Malformed);
    }
    let Some(content) = rest.get(..length) else { return Ok(None) };
    // A sender that speaks for itself may put anything where the addresses would be.
    let client = if fixed[12] == LOCAL { None } else { client(fixed[13], content)? };
    Ok(Some(Header { length: FIXED_BYTES + length, client }))
}

fn client(family: u8, content: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    match family {
        UNSPECIFIED => Ok(None),
        TCP4 => {
            let addresses = content.first_chunk::<TCP4_BYTES>().ok_or(Malformed)?;
            let ip: [u8; 4] = std::array::from_fn(|i| addresses[i]);
            Ok(Some((Ipv4Addr::from(ip), port(addresses, 8)).into()))
        }
        TCP6 => {
            let addresses = content.first_chunk::<TCP6_BYTES>().ok_or(Malformed)?;
            let ip: [u8; 16] = std::array::from_fn(|i| addresses[i]);
            Ok(Some((Ipv6Addr::from(ip), port(addresses, 32)).into()))
        }
        UNIX_STREAM if content.len() >= UNIX_BYTES => Ok(None),
        // Datagrams do not come in over a TCP connection; the rest is not defined.
        _ => Err(Malformed),
    }
}

/// The source's port; it stands behind both addresses.
fn port(addresses: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([addresses[at], addresses[at + 1]])
}
