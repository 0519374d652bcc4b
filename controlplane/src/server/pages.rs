//! `/metrics`, `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{Companion, metrics::CONTENT_TYPE, plane::Plane, rest::Problem, waiting::Waiting};

/// Pages for monitoring.
pub(super) fn router(plane: Plane, companion: Option<Companion>, registry: Arc<Registry>) -> Router {
    Router::new().route("/readyz", get(ready)).with_state((plane, companion)).merge(of_process(registry))
}

/// The same pages while there is no database yet.
pub(super) fn waiting_router(waiting: Arc<Waiting>, registry: Arc<Registry>) -> Router {
    let not_ready = async move || Problem::new(StatusCode::SERVICE_UNAVAILABLE, waiting.reason());
    Router::new().route("/readyz", get(not_ready)).merge(of_process(registry))
}

/// Pages that tell of the process, whatever it can do.
fn of_process(registry: Arc<Registry>) -> Router {
    let metrics = Router::new().route("/metrics", get(metrics)).with_state(registry);
    metrics.route("/healthz", get(async || "ok\n"))
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The configuration is in memory by now, so only the database, what can be read of it, who shares the process, and a
/// shutdown are in question.
async fn ready(State((plane, companion)): State<(Plane, Option<Companion>)>) -> Response {
    if plane.shutdown.is_cancelled() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response();
    }
    let own = plane.probe.fault().or_else(|| plane.hub.fault());
    match own.or_else(|| companion.and_then(|companion| companion.fault())) {
        None => "ready\n".into_response(),
        Some(fault) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, fault).into_response(),
    }
}
