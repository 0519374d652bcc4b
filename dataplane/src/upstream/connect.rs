//! Opening a connection to a backend.

use std::{io, net::SocketAddr, time::Duration};

use http::uri::Authority;
use rustix::io::Errno;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::Upstream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name did not resolve, or the backend refused.
    #[error("{0}")]
    Io(io::Error),
    /// There is no file descriptor left for the connection: not the backend's fault.
    #[error("{0}")]
    Exhausted(io::Error),
    /// It took longer than the connect time-out.
    #[error("no connection within the connect time-out")]
    Timeout,
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        let exhausted = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if exhausted.contains(&error.raw_os_error()) { Self::Exhausted(error) } else { Self::Io(error) }
    }
}

/// Resolves and connects, trying each address in turn, all within `limit`.
pub(crate) async fn connect(authority: &Authority, limit: Duration) -> Result<Upstream, ConnectError> {
    let stream = timeout(limit, open(authority)).await.map_err(|_| ConnectError::Timeout)??;
    // A failure costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    Ok(Upstream::new(stream))
}

async fn open(authority: &Authority) -> io::Result<TcpStream> {
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse() {
        return TcpStream::connect(SocketAddr::new(ip, port)).await;
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_not_blamed_for_our_want_of_descriptors() {
        let error = |errno: Errno| ConnectError::from(io::Error::from(errno));
        assert!(matches!(error(Errno::MFILE), ConnectError::Exhausted(_)));
        assert!(matches!(error(Errno::NFILE), ConnectError::Exhausted(_)));
        assert!(matches!(error(Errno::CONNREFUSED), ConnectError::Io(_)));
    }
}
