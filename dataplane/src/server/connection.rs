//! One client connection, from accept to close.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use rustls::ProtocolVersion;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Worker,
    announce::AnnounceError,
    balance_threads::Place,
    gather::Gather,
    h1, h2,
    stream::{Stream, Transport},
    tls,
};
use crate::{clock, metrics::RefusedConnection};

/// How long a connection that is one too many may take to be told so.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection whose protocol is known.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) protocol: Protocol,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// As agreed in TLS, or because nothing else is possible there.
    Http1,
    /// As agreed in TLS.
    Http2,
    /// What the first bytes say.
    Either,
}

/// Serves a connection until either side ends it; on shutdown the requests in flight are the last.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let opened = tokio::select! {
        opened = open(&worker, stream, peer, place) => opened,
        // What a client said before it could know of the shutdown is heard.
        () = worker.notice_over() => None,
    };
    let Some(opened) = opened else { return };
    let result = match opened.stream.is_refused() {
        false => speak(worker, opened).await,
        true => timeout(FAREWELL, speak(worker, opened)).await.unwrap_or(Ok(())),
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn speak(worker: Rc<Worker>, opened: Opened) -> io::Result<()> {
    let http2 = match opened.protocol {
        Protocol::Http2 => Some(opened),
        Protocol::Http1 | Protocol::Either => h1::serve(worker.clone(), opened).await?,
    };
    match http2 {
        Some(opened) => h2::serve(worker, opened).await.map_err(io::Error::other),
        None => Ok(()),
    }
}

/// Finds out who is there. `None`: nobody said so in time, or not as he should, or there are far too many connections.
async fn open(worker: &Worker, mut stream: TcpStream, peer: SocketAddr, mut place: Place) -> Option<Opened> {
    if place.seat.is_dropped() {
        return None;
    }
    let peer = client(worker, &mut stream, peer).await?;
    place.seat.claim_for(peer.ip());
    if place.seat.is_dropped() {
        return None;
    }
    let patience = if place.seat.is_refused() { FAREWELL } else { worker.options.header_timeout };
    timeout(patience, negotiate(worker, stream, peer, place)).await.ok()?
}

/// The peer, or the client that a PROXY protocol header names.
async fn client(worker: &Worker, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    let Some(announcers) = &worker.announcers else { return Some(peer) };
    let announced = timeout(worker.options.header_timeout, announcers.client(stream, peer)).await;
    let error = match announced {
        Ok(Ok(client)) => return Some(client),
        Ok(Err(error)) => error,
        Err(_) => AnnounceError::Late,
    };
    worker.shared.metrics.connections.refused(RefusedConnection::ProxyProtocol);
    if worker.unannounced.is_due(clock::now()) {
        tracing::warn!(%peer, %error, "connections without a good PROXY protocol header are refused");
    }
    None
}

async fn negotiate(worker: &Worker, stream: TcpStream, peer: SocketAddr, place: Place) -> Option<Opened> {
    let Some(acceptor) = worker.tls.as_ref().map(tls::Certificates::acceptor) else {
        let stream = Stream::new(Transport::Plain(stream), place);
        return Some(Opened { stream, peer, scheme: "http", protocol: Protocol::Either });
    };
    match acceptor.accept(Gather::new(stream)).await {
        Ok(mut stream) => {
            let (socket, session) = stream.get_mut();
            // In TLS 1.3 it is only a ticket that waits now, for the client's next connection.
            match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => socket.end_with_write(),
                _ => socket.end(),
            }
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
            let stream = Stream::new(Transport::Tls(Box::new(stream)), place);
            Some(Opened { stream, peer, scheme: "https", protocol })
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            None
        }
    }
}
