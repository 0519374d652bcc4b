//! The data plane's own port for those who run it: /metrics, /healthz, /readyz.

mod answer;
mod seats;

use std::{
    convert::Infallible,
    future::ready,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use subtle::ConstantTimeEq;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{self, Nanos},
    config::Secret,
    shared::Shared,
};
use answer::{Body, metrics, problem, text};
use seats::{Seat, Seats};

/// Out of file descriptors: accepting at once again would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two lines about the same thing.
const LINES_APART: Nanos = Nanos(10 * Nanos::SECOND.0);

/// What the admin port shows, and to whom.
pub(crate) struct Admin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    /// Asked of whoever reads metrics; probes need none, as they learn nothing.
    pub(crate) token: Option<Secret>,
    /// Connections it may have at once; one address may have half of them.
    pub(crate) max_connections: usize,
    pub(crate) patience: Patience,
}

/// How long a connection may do what.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Until its first request has come.
    first: Duration,
    /// Between an answer and the next request's head.
    idle: Duration,
    /// In all: who does not take an answer must not hold it for ever.
    whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first, idle) = (Duration::from_secs(10), Duration::from_secs(75));
        Self { first, idle, whole: Duration::from_secs(600) }
    }
}

/// Serves until shut down. Readiness is still answered while requests in flight are drained.
pub(crate) async fn serve(admin: Admin, listener: TcpListener, shutdown: CancellationToken) {
    let (seats, admin) = (Seats::new(admin.max_connections), Arc::new(admin));
    let (mut complained, mut turned_away) = (None, None);
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => match seats.take(peer.ip()) {
                Some(seat) => {
                    let served = connection(Arc::clone(&admin), stream, seat);
                    tokio::spawn(shutdown.clone().run_until_cancelled_owned(served));
                }
                // The stream is closed at once: whoever waits in the kernel's queue learns nothing.
                None => turned_away_from(peer, &mut turned_away),
            },
            Err(error) => exhausted(&error, &mut complained).await,
        }
    }
}

fn turned_away_from(peer: SocketAddr, told: &mut Option<Nanos>) {
    if is_due(told) {
        tracing::warn!(address = %peer.ip(), "admin: connections are turned away: see --admin-max-connections");
    }
}

async fn exhausted(error: &io::Error, told: &mut Option<Nanos>) {
    if is_due(told) {
        tracing::warn!(%error, "admin: cannot accept connections; trying again");
    }
    sleep(ACCEPT_PAUSE).await;
}

fn is_due(told: &mut Option<Nanos>) -> bool {
    let now = clock::now();
    let due = told.is_none_or(|last| now.since(last) >= LINES_APART.0);
    if due {
        *told = Some(now);
    }
    due
}

async fn connection(admin: Arc<Admin>, stream: TcpStream, _seat: Seat) {
    let (asked, patience) = (AtomicBool::new(false), admin.patience);
    let service = service_fn(|request| {
        asked.store(true, Relaxed);
        ready(Ok::<_, Infallible>(admin.answer(&request)))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.idle);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How the connection of a probe ended is nobody's concern.
    tokio::select! {
        _ = served.as_mut() => return,
        () = sleep(patience.first) => {}
    }
    if asked.load(Relaxed) {
        let _ = tokio::time::timeout(patience.whole, served).await;
    }
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return problem(
                404,
                "Not Found",
                &format!("there is no {path} here; there are /metrics, /healthz, /readyz"),
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = problem(405, "Method Not Allowed", &format!("{path} takes GET and HEAD"));
            refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/healthz" => text(200, "ok\n"),
            "/readyz" => self.ready(),
            _ if self.allows(request.headers()) => metrics(&self.registry),
            _ => unauthorized(),
        }
    }

    fn ready(&self) -> Response<Body> {
        match self.shared.unready() {
            Some(why) => problem(503, "Service Unavailable", why),
            None => text(200, "ready\n"),
        }
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.reveal().as_bytes()))
        })
    }
}

fn unauthorized() -> Response<Body> {
    let mut refused = problem(401, "Unauthorized", "the admin token is missing or wrong (Authorization: Bearer …)");
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    refused
}

#[cfg(test)]
mod tests;
