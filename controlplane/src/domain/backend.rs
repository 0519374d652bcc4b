//! Backends: where requests go, and how it is checked that they can.

use super::{BackendUrl, Invalid};

/// Weights that a backend may have.
pub const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=1000;

/// A weight that a user gave.
pub fn weight(weight: u32) -> Result<u32, Invalid> {
    if WEIGHTS.contains(&weight) {
        return Ok(weight);
    }
    let expected = format!("expected a whole number from {} to {}, got {weight}", WEIGHTS.start(), WEIGHTS.end());
    Err(Invalid { field: "weight", expected })
}

/// What an operator wants of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// Takes requests while healthy.
    Active,
    /// Takes no new requests; those in flight finish. Still checked.
    Draining,
    /// Takes no requests and is not checked.
    Disabled,
}

/// Where a backend's definition lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file; reconciled at start and on SIGHUP.
    File,
    /// The API; lives in the database alone.
    Api,
}

/// An active health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Request method.
    pub method: String,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Milliseconds between checks; `None`: the configuration's `ticker_rate_sec`.
    pub interval_ms: Option<u32>,
    /// Milliseconds until a check counts as failed.
    pub timeout_ms: u32,
    /// Successes in a row that make an unhealthy backend healthy.
    pub rise: u32,
    /// Failures in a row that make a healthy backend unhealthy.
    pub fall: u32,
    /// Lowest status code that counts as a success.
    pub expected_status_min: u16,
    /// Highest status code that counts as a success.
    pub expected_status_max: u16,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/health".into(),
            interval_ms: None,
            timeout_ms: 1000,
            rise: 2,
            fall: 3,
            expected_status_min: 200,
            expected_status_max: 399,
        }
    }
}

impl HealthCheck {
    /// Accepts the name of a request method.
    pub fn check_method(text: &str) -> Result<(), Invalid> {
        match http::Method::from_bytes(text.as_bytes()) {
            Ok(method) if method != http::Method::CONNECT => Ok(()),
            _ => Err(Invalid {
                field: "method",
                expected: format!("expected a request method such as GET, got {text:?}"),
            }),
        }
    }

    /// Accepts a path, with or without a query.
    pub fn check_path(text: &str) -> Result<(), Invalid> {
        match text.parse::<http::uri::PathAndQuery>() {
            Ok(_) if text.starts_with('/') => Ok(()),
            _ => Err(Invalid { field: "path", expected: format!("expected a path that starts with /, got {text:?}") }),
        }
    }
}

/// What a user says of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSpec {
    /// Where it is; unique in the pool.
    pub url: BackendUrl,
    /// Share of requests relative to the others, 1 to 1000.
    pub weight: u32,
    /// How it is checked.
    pub health_check: HealthCheck,
}

/// A backend as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Given by the store; never used again for another backend.
    pub id: u64,
    /// What the user said.
    pub spec: BackendSpec,
    /// What the operator wants of it.
    pub admin_state: AdminState,
    /// Where its definition lives.
    pub source: Source,
}

/// Names one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendKey {
    /// By the id the store gave it.
    Id(u64),
    /// By its URL.
    Url(BackendUrl),
}

/// A change to a backend; `None` leaves the field as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendChange {
    /// New weight, 1 to 1000.
    pub weight: Option<u32>,
    /// New admin state.
    pub admin_state: Option<AdminState>,
}
