//! Accepts connections and ends them in an orderly way.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    answering::Answering,
    front::Front,
    handshake::Handshake,
    heard::Heard,
    pulse::{Patience, Pulse},
    seats::{Seat, Seats},
};
use crate::tally::Tally;

/// HTTP/2 connections that are silent this long are pinged, and closed if no answer comes in as long again.
const PING: Duration = Duration::from_secs(20);
/// Requests in flight at a shutdown may take this long to finish.
const GRACE: Duration = Duration::from_secs(10);
/// Pause when no connection can be accepted, which usually means that file descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listener and what it answers.
pub(crate) struct Port {
    /// `listener` in the log.
    pub(crate) name: &'static str,
    pub(crate) listener: TcpListener,
    /// `None`: callers speak without TLS.
    pub(crate) tls: Option<Handshake>,
    /// `None`: any number of connections.
    pub(crate) seats: Option<Arc<Seats>>,
    pub(crate) patience: Patience,
    pub(crate) front: Front,
}

/// Serves the port until `shutdown`, then finishes what is in flight.
pub(crate) async fn serve(port: Port, shutdown: CancellationToken) {
    let Port { name, listener, tls, seats, patience, front } = port;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(listener = name, %address, tls = tls.is_some(), "listening");
    }
    let (open, cut) = (TaskTracker::new(), CancellationToken::new());
    let speaker = Speaker { builder: builder(), front, tls, patience, shutdown: shutdown.clone(), cut: cut.clone() };
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => match seat(seats.as_ref(), peer) {
                Ok(seat) => drop(open.spawn(speaker.clone().speak(stream, peer, seat))),
                // Closed at once: whoever waits in the kernel's queue learns nothing, and holds a descriptor here.
                Err(TurnedAway) => drop(stream),
            },
            Err(error) => exhausted(&error).await,
        }
    }
    drop(listener);
    open.close();
    if timeout(GRACE, open.wait()).await.is_err() {
        tracing::warn!(grace_secs = GRACE.as_secs(), "requests in flight were cut off");
    }
    cut.cancel();
}

/// There is no room for a connection.
struct TurnedAway;

fn seat(seats: Option<&Arc<Seats>>, peer: SocketAddr) -> Result<Option<Seat>, TurnedAway> {
    static TURNED_AWAY: Tally = Tally::new();
    let Some(seats) = seats else { return Ok(None) };
    seats.take(peer.ip()).map(Some).map_err(|why| {
        if let Some(connections) = TURNED_AWAY.count() {
            let (address, reason) = (peer.ip(), why.label());
            tracing::warn!(connections, %address, reason, "turned away at the admin port: see admin.max_connections");
        }
        TurnedAway
    })
}

async fn exhausted(error: &std::io::Error) {
    static FAILED: Tally = Tally::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(%error, times, "cannot accept a connection; trying again");
    }
    sleep(ACCEPT_RETRY).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The pulse bounds the time of heads: hyper's own clock cannot tell one that has begun from a pause before it.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    builder
}

/// Holds one conversation.
#[derive(Clone)]
struct Speaker {
    builder: auto::Builder<TokioExecutor>,
    front: Front,
    tls: Option<Handshake>,
    patience: Patience,
    shutdown: CancellationToken,
    /// Ends what a shutdown's grace was not enough for.
    cut: CancellationToken,
}

impl Speaker {
    async fn speak(self, stream: TcpStream, peer: SocketAddr, _seat: Option<Seat>) {
        // Small frames of a stream must not wait for an acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.answer(stream, peer).await };
        // A handshake has nothing in flight that a shutdown should wait for.
        if let Some(Some(stream)) = self.shutdown.run_until_cancelled(tls.accept(stream, peer)).await {
            self.answer(stream, peer).await;
        }
    }

    async fn answer<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Pulse::new();
        let (front, of_requests) = (self.front.clone(), pulse.clone());
        let service = service_fn(move |request| answer(front.current(), request, of_requests.clone()));
        let stream = TokioIo::new(Heard::new(stream, pulse.clone()));
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.dismissed(&pulse) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.abandoned(&pulse) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }

    /// Ends when the connection shall take no new requests.
    async fn dismissed(&self, pulse: &Pulse) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = pulse.expired(&self.patience) => {}
        }
    }

    /// Ends when a connection that takes no new requests need not be waited for any longer.
    async fn abandoned(&self, pulse: &Pulse) {
        tokio::select! {
            () = pulse.silent(&self.patience) => {}
            () = pulse.expired(&self.patience) => {}
            () = self.cut.cancelled() => {}
        }
    }
}

async fn answer(app: Router, request: Request<Incoming>, pulse: Pulse) -> Result<Response<Answering>, Infallible> {
    let in_flight = pulse.request();
    let response = app.oneshot(request).await?;
    Ok(response.map(|body| Answering::new(body, in_flight)))
}

#[cfg(test)]
mod tests;
