//! Opening a connection to a backend.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc};

use http::uri::Authority;
use rustix::io::Errno;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    BackendStream, Upstream,
    h2::{Destination, Http2Pool, Translated, Way},
    stream::Transport,
};
use crate::{backend_tls::server_name, clock, pool::Scheme};

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name did not resolve, or the backend refused.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The backend does not speak TLS, or is not who it should be.
    #[error("TLS: {0}")]
    Tls(Arc<io::Error>),
    /// The backend does not speak HTTP/2, or has ended the connection at once.
    #[error("HTTP/2: {0}")]
    Http2(Arc<h2::Error>),
    /// There is no file descriptor left for the connection: not the backend's fault.
    #[error("{0}")]
    Exhausted(Arc<io::Error>),
    /// It took longer than the connect time-out.
    #[error("no connection within the connect time-out")]
    Timeout,
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        let exhausted = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        let ours = exhausted.contains(&error.raw_os_error());
        if ours { Self::Exhausted(Arc::new(error)) } else { Self::Io(Arc::new(error)) }
    }
}

/// Finds a way to a backend for one request: a connection of its own, or a place on a shared one. To become a
/// WebSocket it needs HTTP/1.1.
pub(crate) async fn connect(pool: &Rc<Http2Pool>, to: Destination, websocket: bool) -> Result<Upstream, ConnectError> {
    let stream = match to.backend.scheme {
        Scheme::Http => Way::Http1(open(&to, to.tls.offering_http1()).await?),
        Scheme::Https if websocket => Way::Http1(open(&to, to.tls.offering_http1()).await?),
        Scheme::Https | Scheme::H2c => pool.way(&to).await?,
    };
    Ok(Upstream::new(match stream {
        Way::Http1(transport) => BackendStream::Direct(transport),
        Way::Http2(lease) => BackendStream::Translated(Box::new(Translated::new(pool.clone(), to, lease))),
    }))
}

async fn open(to: &Destination, tls: &TlsConnector) -> Result<Transport, ConnectError> {
    within_limit(to, reach(to, tls)).await
}

/// What connecting comes to within its limit. The log is told of backends that cannot be used.
pub(super) async fn within_limit<T>(
    to: &Destination,
    connecting: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let connected = timeout(to.limit, connecting).await.unwrap_or(Err(ConnectError::Timeout));
    if let Err(error @ (ConnectError::Tls(_) | ConnectError::Http2(_))) = &connected
        && to.backend.state.is_news(clock::now())
    {
        tracing::warn!(backend = to.backend.url(), reason = %error, "backend refused");
    }
    connected
}

/// Resolves and connects, trying each address in turn, and by `tls` where the backend's URL says so.
pub(super) async fn reach(to: &Destination, tls: &TlsConnector) -> Result<Transport, ConnectError> {
    let authority = &to.backend.authority;
    let stream = open_plain(authority).await?;
    // A failure costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    match to.backend.scheme {
        Scheme::Http | Scheme::H2c => Ok(Transport::Plain(stream)),
        Scheme::Https => secure(authority, tls, stream).await,
    }
}

async fn secure(authority: &Authority, tls: &TlsConnector, stream: TcpStream) -> Result<Transport, ConnectError> {
    // It was looked at when the pool came.
    let name = server_name(authority).ok_or_else(|| tls_fault(io::ErrorKind::InvalidInput.into()))?;
    let secured = tls.connect(name, stream).await.map_err(tls_fault)?;
    Ok(Transport::Tls(Box::new(secured)))
}

fn tls_fault(error: io::Error) -> ConnectError {
    ConnectError::Tls(Arc::new(error))
}

async fn open_plain(authority: &Authority) -> io::Result<TcpStream> {
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
