//! Errors as `application/problem+json` (RFC 9457), with the member `errors` that the legacy service sent.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{domain::Invalid, store::StoreError};

/// Seconds after which a caller may try again while the database is gone.
const RETRY_AFTER_SEC: &str = "1";

/// Time between warnings of calls that failed.
const WARNINGS_APART: Duration = Duration::from_secs(10);

/// An answer that says what went wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status code.
    #[schema(example = 400)]
    status: u16,
    /// One sentence on this occurrence. It begins with the field's name if a field was wrong.
    #[schema(example = "capacity: expected a finite number of at least 1, got 0")]
    detail: String,
    /// The same sentence, where legacy clients look for it.
    #[schema(example = "capacity: expected a finite number of at least 1, got 0")]
    errors: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::bad_request(invalid.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            StoreError::AlreadyExists(_) | StoreError::BackendInFile(_) => StatusCode::CONFLICT,
            StoreError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            warn_rarely(&error);
        }
        Self::new(status, error.to_string())
    }
}

/// In an outage every call fails, for one reason: one line in a while says so, and how many there were.
fn warn_rarely(error: &StoreError) {
    static FAILED: Mutex<Tally> = Mutex::new(Tally { calls: 0, told: None });
    // A poisoned tally is whole: it is two numbers.
    let due = FAILED.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now());
    if let Some(calls) = due {
        tracing::warn!(%error, calls, "REST calls failed");
    }
}

/// Counts what is told once in a while.
struct Tally {
    calls: u64,
    told: Option<Instant>,
}

impl Tally {
    /// How many there were since the last time this was told, if it is time to tell again.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.calls += 1;
        let due = self.told.is_none_or(|told| now.duration_since(told) >= WARNINGS_APART);
        due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.calls)
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            errors: self.detail.clone(),
            detail: self.detail,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SEC));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_one_line_in_a_while() {
        let (mut tally, start) = (Tally { calls: 0, told: None }, Instant::now());
        assert_eq!(tally.count(start), Some(1));
        assert!((0..100).all(|_| tally.count(start + WARNINGS_APART / 2).is_none()));
        assert_eq!(tally.count(start + WARNINGS_APART), Some(101));
    }
}
