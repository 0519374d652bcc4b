//! Accepts connections and ends them in an orderly way.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{first_words::FirstWords, handshake::Handshake};

/// A client must have begun to speak within this time, and have sent a request's head within as long again.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 connections that are silent this long are pinged, and closed if no answer comes in as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
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
    pub(crate) app: Router,
}

/// Serves the port until `shutdown`, then finishes what is in flight.
pub(crate) async fn serve(port: Port, shutdown: CancellationToken) {
    let Port { name, listener, tls, app } = port;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(listener = name, %address, tls = tls.is_some(), "listening");
    }
    let graceful = GracefulShutdown::new();
    let speaker = Speaker { builder: builder(), app, tls, shutdown: shutdown.clone() };
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => drop(tokio::spawn(speaker.clone().speak(stream, peer, graceful.watcher()))),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!(grace_secs = GRACE.as_secs(), "requests in flight were cut off");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
    builder
}

/// Holds one conversation.
#[derive(Clone)]
struct Speaker {
    builder: auto::Builder<TokioExecutor>,
    app: Router,
    tls: Option<Handshake>,
    shutdown: CancellationToken,
}

impl Speaker {
    async fn speak(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Small frames of a stream must not wait for an acknowledgement of the ones before.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.answer(stream, peer, watcher).await };
        // A handshake has nothing in flight that a shutdown should wait for.
        if let Some(Some(stream)) = self.shutdown.run_until_cancelled(tls.accept(stream, peer)).await {
            self.answer(stream, peer, watcher).await;
        }
    }

    async fn answer<S>(&self, stream: S, peer: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = TowerToHyperService::new(self.app.clone());
        let connection =
            self.builder.serve_connection(TokioIo::new(FirstWords::new(stream, HEAD_TIMEOUT)), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}
