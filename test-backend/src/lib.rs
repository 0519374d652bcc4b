//! The echo backend that demos and tests put behind Balancer.
//!
//! Any request is answered 200 with a JSON description of itself; some paths misbehave on request (see [`PATHS`]).
//! Every answer names the backend in `X-Backend`.

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::answer::Answerer;

mod answer;
mod body;
mod describe;
mod problem;
mod speech;
mod upgrade;

pub use speech::{Speech, Versions};

/// Longest wait for requests in flight after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// The paths that do something else than describe the request, for `--help`.
pub const PATHS: &str = "\
Paths (any other path, and any method, answers 200 with a JSON description of the request):
  /health           200
  /status/CODE      answers CODE, 200 to 599
  /delay/MS         describes the request after MS milliseconds, at most 60000
  /bytes/N          N bytes with Content-Length
  /stream/N[/MS]    N chunks without Content-Length, MS milliseconds apart (100)
  /echo             streams the request's body back, and over HTTP/2 its trailers
  /upgrade          101 for `Upgrade: websocket` (or any protocol), then echoes bytes
  /abort            closes the connection without an answer";

/// Serves HTTP/1 and HTTP/2 without TLS; see [`run_speaking`].
///
/// # Errors
/// As [`run_speaking`].
pub async fn run(listener: TcpListener, name: Option<String>, shutdown: CancellationToken) -> io::Result<()> {
    run_speaking(listener, name, Speech::default(), shutdown).await
}

/// Serves on `listener` until `shutdown`, then finishes requests in flight for at most 10 s.
///
/// `name` is what `X-Backend` and the JSON's `backend` say; by default the listener's address.
///
/// # Errors
/// When the listener has no address. A failing accept is retried: the usual cause, a lack of file descriptors, passes.
pub async fn run_speaking(
    listener: TcpListener,
    name: Option<String>,
    speech: Speech,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let name = match name {
        Some(name) => name,
        None => listener.local_addr()?.to_string(),
    };
    // Connections and the tunnels that outlive them.
    let tasks = TaskTracker::new();
    let answerer = Arc::new(Answerer::new(name, tasks.clone(), shutdown.clone()));
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => drop(tasks.spawn(greet(stream, speech.clone(), answerer.clone(), shutdown.clone()))),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    tasks.close();
    // Who is still busy after the grace time is cut off; that is what the time is for.
    let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
    Ok(())
}

/// Serves one connection, after the handshake if there is TLS.
async fn greet(stream: TcpStream, speech: Speech, answerer: Arc<Answerer>, shutdown: CancellationToken) {
    // Without it a small second chunk waits for the acknowledgement of the first.
    let _ = stream.set_nodelay(true);
    match &speech.tls {
        None => serve(stream, speech.versions, answerer, shutdown).await,
        Some(tls) => {
            // A client that does not trust the certificate hangs up: that is its right.
            let Some(Ok(stream)) = shutdown.run_until_cancelled(tls.accept(stream)).await else { return };
            serve(stream, speech.versions, answerer, shutdown).await;
        }
    }
}

/// Serves one connection until it ends or, after `shutdown`, its requests in flight are answered.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    versions: Versions,
    answerer: Arc<Answerer>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request| {
        let answerer = answerer.clone();
        async move { answerer.answer(request).await }
    });
    let mut builder = match versions {
        Versions::Both => auto::Builder::new(TokioExecutor::new()),
        Versions::Http1 => auto::Builder::new(TokioExecutor::new()).http1_only(),
        Versions::Http2 => auto::Builder::new(TokioExecutor::new()).http2_only(),
    };
    builder.http1().timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // An error here is the peer's: it hung up or did not speak HTTP.
    if shutdown.run_until_cancelled(connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
