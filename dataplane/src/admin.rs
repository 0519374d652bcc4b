//! The data plane's own port for those who run it: /metrics, /healthz, /readyz.

mod answer;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use subtle::ConstantTimeEq;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Secret, shared::Shared};
use answer::{Body, metrics, problem, text};

/// A scrape or a probe is over long before.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Out of file descriptors: accepting at once again would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the admin port shows, and to whom.
pub(crate) struct Admin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    /// Asked of whoever reads metrics; probes need none, as they learn nothing.
    pub(crate) token: Option<Secret>,
}

/// Serves until shut down. Readiness is still answered while requests in flight are drained.
pub(crate) async fn serve(admin: Admin, listener: TcpListener, shutdown: CancellationToken) {
    let admin = Arc::new(admin);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&admin), stream, shutdown.clone()))),
                Err(error) => pause(&error).await,
            }
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!("admin: cannot accept: {error}");
    sleep(ACCEPT_PAUSE).await;
}

async fn connection(admin: Arc<Admin>, stream: TcpStream, shutdown: CancellationToken) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(admin.answer(&request))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // How the connection of a probe ended is nobody's concern.
    tokio::select! {
        _ = timeout(CONNECTION_TIMEOUT, served) => {}
        () = shutdown.cancelled() => {}
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
        match (self.shared.is_draining(), self.shared.snapshot.load().is_some()) {
            (true, _) => problem(503, "Service Unavailable", "shutting down"),
            (_, false) => problem(503, "Service Unavailable", "no snapshot yet: waiting for the control plane"),
            _ => text(200, "ready\n"),
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
