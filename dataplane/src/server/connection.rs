//! One client connection, from accept to close.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{Worker, balance_threads::Counted, h1, h2, stream::Stream, tls};

/// How an HTTP/2 connection begins (RFC 9113 section 3.4). No method of HTTP/1 is called so.
const PREFACE_START: &[u8] = b"PRI";

/// A connection whose protocol is known.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    is_http2: bool,
}

/// Serves a connection until either side ends it; on shutdown the requests in flight are the last.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, counted: Counted) {
    let _counted = counted;
    let Ok(peer) = stream.peer_addr() else { return };
    // A failure costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    worker.shared.metrics.connections.accepted();
    if let Some(opened) = open(&worker, stream, peer).await {
        let result = match opened.is_http2 {
            true => h2::serve(worker.clone(), opened).await,
            false => h1::serve(worker.clone(), opened).await,
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
    worker.shared.metrics.connections.closed();
}

/// Finds out what is spoken. `None`: nothing was, in time, or not TLS where it should be.
async fn open(worker: &Worker, stream: TcpStream, peer: SocketAddr) -> Option<Opened> {
    let patience = worker.options.header_timeout;
    tokio::select! {
        opened = open_within(worker, stream, peer, patience) => opened,
        () = worker.shutdown.cancelled() => None,
    }
}

async fn open_within(worker: &Worker, stream: TcpStream, peer: SocketAddr, patience: Duration) -> Option<Opened> {
    let Some(acceptor) = worker.tls.as_ref().map(tls::Certificates::acceptor) else {
        let is_http2 = timeout(patience, begins_with_preface(&stream)).await.ok()?;
        return Some(Opened { stream: Stream::Plain(stream), peer, scheme: "http", is_http2 });
    };
    match timeout(patience, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Some(Opened { stream: Stream::Tls(Box::new(stream)), peer, scheme: "https", is_http2 })
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// Looks at the first bytes without taking them.
async fn begins_with_preface(stream: &TcpStream) -> bool {
    let mut start = [0; PREFACE_START.len()];
    matches!(stream.peek(&mut start).await, Ok(length) if &start[..length] == PREFACE_START)
}
