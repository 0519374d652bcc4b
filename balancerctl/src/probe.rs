//! A look at a port that did not answer as expected.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use tonic::transport::Uri;

/// Longest wait for each step.
const WITHIN: Duration = Duration::from_secs(1);

/// What a TLS server says to whoever does not speak TLS: a record of type alert (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// Whether the port at the other end of an `http://` endpoint wants TLS. Blocks for a few seconds at most.
pub(crate) fn wants_tls(endpoint: &str) -> bool {
    ask(endpoint).is_some_and(|first| first == ALERT)
}

/// The first byte of the answer to a plain request.
fn ask(endpoint: &str) -> Option<u8> {
    let uri: Uri = endpoint.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let address = (host, uri.port_u16().unwrap_or(80)).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut first = [0];
    stream.read_exact(&mut first).ok()?;
    Some(first[0])
}
