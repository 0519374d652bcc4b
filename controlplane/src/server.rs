//! The admin port: gRPC, REST, metrics and health on one listener.

mod answering;
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

pub(crate) use handshake::Handshake;
pub(crate) use pulse::Patience;
pub(crate) use seats::Seats;
pub(crate) use serve::{Port, serve};

use crate::{Token, grpc, openapi, plane::Plane, rest};

/// Everything the admin port answers.
pub(crate) fn app(plane: Plane, registry: Registry, token: Option<Token>) -> Router {
    let metrics = plane.metrics.clone();
    let token = token.map(Arc::new);
    rest::router(plane.clone())
        .merge(pages::router(plane.clone(), registry))
        .merge(openapi::router())
        .merge(grpc::routes(plane).prepare().into_axum_router())
        .fallback(gate::unknown_path)
        .method_not_allowed_fallback(gate::wrong_method)
        .layer(middleware::from_fn_with_state(token, gate::authenticate))
        .layer(middleware::from_fn(gate::same_site))
        .layer(middleware::from_fn_with_state(metrics, gate::count))
}

/// Everything that a data plane of the same process is answered.
pub(crate) fn internal_app(plane: Plane, token: Token) -> Router {
    let metrics = plane.metrics.clone();
    grpc::data_plane_routes(plane)
        .prepare()
        .into_axum_router()
        .fallback(gate::unknown_path)
        .layer(middleware::from_fn_with_state(Some(Arc::new(token)), gate::authenticate))
        .layer(middleware::from_fn_with_state(metrics, gate::count))
}
