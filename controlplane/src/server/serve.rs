//! Accepts connections and ends them in an orderly way.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A client must have sent a request's head within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 connections that are silent this long are pinged, and closed if no answer comes in as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Requests in flight at a shutdown may take this long to finish.
const GRACE: Duration = Duration::from_secs(10);
/// Pause when no connection can be accepted, which usually means that file descriptors have run out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves `app` until `shutdown`, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, app: Router, shutdown: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(listener = "admin", %address, "listening");
    }
    let (builder, graceful) = (builder(), GracefulShutdown::new());
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => spawn(&builder, &graceful, app.clone(), stream, peer),
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

fn spawn(
    builder: &auto::Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    app: Router,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Small frames of a stream must not wait for an acknowledgement of the ones before.
    let _ = stream.set_nodelay(true);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "connection ended");
        }
    });
}
