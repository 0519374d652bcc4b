//! `/limits/*` for legacy clients.

mod body;
mod limits;
mod problem;

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};

pub(crate) use limits::{__path_create, __path_delete_limit, __path_get_limit, __path_update};
pub(crate) use problem::{Problem, ProblemBody};

use crate::plane::Plane;

/// A request must have been read and answered within this time. The store gives up well before.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(15);

/// The four calls.
pub(crate) fn router(plane: Plane) -> Router {
    Router::new()
        .route("/limits/create", post(limits::create))
        .route("/limits/get", get(limits::get_limit))
        .route("/limits/update", put(limits::update))
        .route("/limits/delete", delete(limits::delete_limit))
        .route_layer(middleware::from_fn(in_time))
        .with_state(plane)
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        let seconds = HANDLER_TIMEOUT.as_secs();
        Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the request took longer than {seconds} s")).into_response()
    })
}
