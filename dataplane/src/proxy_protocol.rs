//! The PROXY protocol, versions 1 and 2: what a balancer in front says of a connection before its first byte.
//!
//! Specification: HAProxy's `doc/proxy-protocol.txt`, 2020/03/05. Of version 2 the addresses are read; the extensions
//! (TLV) behind them are passed over.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

/// Longest header that is accepted, bytes: version 2 with all the extensions that are in use fits many times.
pub const MAX_HEADER_BYTES: usize = 4096;

/// A header that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows is the client's.
    pub length: usize,
    /// The client; `None` where the sender speaks for itself (`LOCAL`, a health check) or knows no address (`UNKNOWN`,
    /// a Unix socket): then the client is whoever is connected.
    pub client: Option<SocketAddr>,
}

/// Not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY protocol header")]
pub struct Malformed;

/// Reads the header that `bytes` begin with. `Ok(None)`: all of them belong to a header, and more is to come.
///
/// # Errors
/// At the first byte that no header has there.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if begins_like(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if begins_like(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Err(Malformed)
    }
}

/// Whether they agree as far as both go.
fn begins_like(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}
