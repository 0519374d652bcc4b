//! The admin port: gRPC, REST, metrics and health on one listener.

mod answering;
mod farewell;
mod front;
mod gate;
mod handshake;
mod heard;
mod pages;
mod pulse;
mod seats;
mod serve;

use std::sync::Arc;

use axum::{Router, middleware};
use prometheus_client::registry::Registry;

pub(crate) use front::Front;
pub(crate) use handshake::Handshake;
pub(crate) use pulse::Patience;
pub(crate) use seats::Seats;
pub(crate) use serve::{Port, serve};

use crate::{Companion, Token, grpc, metrics::Metrics, openapi, plane::Plane, rest, waiting::Waiting};

/// Everything the admin port answers.
pub(crate) fn app(plane: Plane, registry: Arc<Registry>, companion: Option<Companion>, token: Option<Token>) -> Router {
    let (metrics, shutdown) = (plane.metrics.clone(), plane.shutdown.clone());
    let app = rest::router(plane.clone())
        .merge(pages::router(plane.clone(), companion, registry))
        .merge(openapi::router())
        .merge(grpc::routes(plane).prepare().into_axum_router())
        .fallback(gate::unknown_path)
        .method_not_allowed_fallback(gate::wrong_method)
        .layer(middleware::from_fn_with_state(shutdown, farewell::end_streams));
    guarded(app, token, metrics)
}

/// Everything that a data plane of the same process is answered.
pub(crate) fn internal_app(plane: Plane, token: Token) -> Router {
    let metrics = plane.metrics.clone();
    let app = grpc::data_plane_routes(plane).prepare().into_axum_router().fallback(gate::unknown_path);
    guarded(app, Some(token), metrics)
}

/// What a port answers before there is a database: that it must be waited for.
pub(crate) fn waiting_app(
    waiting: Arc<Waiting>,
    registry: Arc<Registry>,
    token: Option<Token>,
    metrics: Arc<Metrics>,
) -> Router {
    let app = pages::waiting_router(waiting.clone(), registry)
        .merge(openapi::router())
        .fallback(move |request| gate::not_yet(waiting.reason(), request));
    guarded(app, token, metrics)
}

fn guarded(app: Router, token: Option<Token>, metrics: Arc<Metrics>) -> Router {
    app.layer(middleware::from_fn_with_state(token.map(Arc::new), gate::authenticate))
        .layer(middleware::from_fn(gate::same_site))
        .layer(middleware::from_fn_with_state(metrics, gate::count))
}
