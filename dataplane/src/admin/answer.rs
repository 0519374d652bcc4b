//! Answers of the admin port.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use prometheus_client::{encoding::text::encode, registry::Registry};

pub(super) type Body = Full<Bytes>;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn text(status: u16, body: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

pub(super) fn metrics(registry: &Registry) -> Response<Body> {
    let mut page = String::new();
    match encode(&mut page, registry) {
        Ok(()) => answer(200, OPEN_METRICS, page.into()),
        Err(_) => problem(500, "Internal Server Error", "the metrics could not be written"),
    }
}

/// As RFC 9457, with the member `errors` that all of Balancer's problems have.
pub(super) fn problem(status: u16, title: &str, detail: &str) -> Response<Body> {
    let body = serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": detail, "errors": detail });
    answer(status, "application/problem+json", body.to_string().into())
}

fn answer(status: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
