//! What every request passes, and what nothing else answers.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{Token, metrics::Metrics, rest::Problem};

/// What callers may read without a token: probes cannot send one, and the documentation is public.
const OPEN: [&str; 4] = ["/healthz", "/readyz", "/openapi.json", "/docs"];

/// Lets through who has the token.
pub(super) async fn authenticate(State(token): State<Option<Arc<Token>>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN.contains(&path) || path.starts_with("/docs/");
    match token {
        Some(token) if !open && !token.admits(request.headers()) => refuse(request.headers()),
        _ => next.run(request).await,
    }
}

/// Keeps a page that the operator's browser shows from using a port that only this machine reaches: browsers say so when a
/// request comes from another site's page (Fetch Metadata, W3C). Other programs do not send the header.
pub(super) async fn same_site(request: Request, next: Next) -> Response {
    // What only reads is safe: the page does not get to see the answer.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_foreign = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if is_foreign && !reads {
        return Problem::new(StatusCode::FORBIDDEN, "a request from another site's page is refused").into_response();
    }
    next.run(request).await
}

fn refuse(headers: &HeaderMap) -> Response {
    if is_grpc(headers) {
        return tonic::Status::unauthenticated(
            "send metadata `authorization: Bearer TOKEN` (dataplane and balancerctl: --token or BALANCER_TOKEN)",
        )
        .into_http();
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "send the header Authorization: Bearer TOKEN");
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

/// Counts calls by method or route and by outcome.
pub(super) async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // A gRPC route is one wildcard for a whole service, and the method is found in the path; other routes may have
    // wildcards too, and what stands there is anybody's invention.
    let method = matched.as_deref().filter(|route| is_service(route)).map(|_| request.uri().path().to_owned());
    let response = next.run(request).await;
    if grpc {
        count_grpc(&metrics, method.as_deref().unwrap_or("other"), &response);
    } else {
        metrics.rest_call(matched.as_deref().unwrap_or("other"), response.status().as_u16());
    }
    response
}

// A failed unary call has its status in the head; one that succeeded has it in the trailers, which are not waited for.
fn count_grpc(metrics: &Metrics, route: &str, response: &Response) {
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0);
    // Only a call that was dispatched has a method that exists; others would let anybody invent labels.
    let invented = [tonic::Code::Unimplemented as i32, tonic::Code::Unauthenticated as i32].contains(&code);
    let method = if invented { "other" } else { route.trim_start_matches('/') };
    metrics.grpc_call(method, code);
}

/// Whether a route is that of a gRPC service: only those have a full stop in their first segment.
fn is_service(route: &str) -> bool {
    route.strip_suffix("/{*rest}").is_some_and(|service| service.contains('.'))
}

/// Nothing is at this path.
pub(super) async fn unknown_path(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented(format!("no such method: {}", request.uri().path())).into_http();
    }
    let detail = format!("nothing is at {:?}; see /docs", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

/// Something may be at this path once the database is there.
pub(super) async fn not_yet(reason: String, request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unavailable(reason).into_http();
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

/// Something is at this path, but not for this method; the router adds `Allow`.
pub(super) async fn wrong_method(request: Request) -> Response {
    let detail = format!("{} is not a method of {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
