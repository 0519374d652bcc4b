//! From a TCP connection to a TLS one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

use crate::{metrics::Metrics, tls::AdminTls};

/// A client must have finished the handshake within this time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Lets in who speaks TLS and, where certificates are asked for, has one.
#[derive(Clone)]
pub(crate) struct Handshake {
    pub(crate) tls: AdminTls,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handshake {
    /// `None`: it failed, which is counted and logged.
    pub(super) async fn accept(&self, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
        let accepted = timeout(TIMEOUT, self.tls.acceptor().accept(stream)).await;
        match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.metrics.tls_failures.inc();
                refused(peer, &error);
                None
            }
        }
    }
}

/// Who only looks whether the port is open, as load balancers do every second, is not worth a line.
fn refused(peer: SocketAddr, error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
        tracing::debug!(%peer, %error, "TLS handshake failed");
    } else {
        tracing::info!(%peer, %error, "TLS handshake failed");
    }
}
