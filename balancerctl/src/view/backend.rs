//! A backend and its health.

use balancer_proto::v1::{AdminState, Backend, BackendSource, BackendStatus, Health, HealthCheck};
use serde::Serialize;

use crate::{table::Row, view::span};

/// A backend as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct BackendRow {
    id: u64,
    url: String,
    weight: u32,
    admin_state: &'static str,
    source: &'static str,
    /// Unknown right after a change: the answer to that tells no health.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<CheckView>,
}

/// An active health check as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CheckView {
    method: String,
    path: String,
    /// Unset: the control plane's `ticker_rate_sec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_ms: Option<u32>,
    timeout_ms: u32,
    rise: u32,
    fall: u32,
    expected_status_min: u32,
    expected_status_max: u32,
}

impl From<BackendStatus> for BackendRow {
    fn from(status: BackendStatus) -> Self {
        let health = Some(health_word(status.health()));
        // A control plane always sets it.
        let backend = status.backend.unwrap_or_default();
        Self { health, reason: Some(status.reason), since_ms: status.since_ms, ..backend.into() }
    }
}

impl From<Backend> for BackendRow {
    fn from(backend: Backend) -> Self {
        Self {
            id: backend.id,
            weight: backend.weight.max(1),
            admin_state: admin_state_word(backend.admin_state()),
            source: source_word(backend.source()),
            health: None,
            reason: None,
            since_ms: None,
            health_check: backend.health_check.map(Into::into),
            url: backend.url,
        }
    }
}

impl From<HealthCheck> for CheckView {
    fn from(check: HealthCheck) -> Self {
        Self {
            method: check.method,
            path: check.path,
            interval_ms: Some(check.interval_ms).filter(|ms| *ms > 0),
            timeout_ms: check.timeout_ms,
            rise: check.rise,
            fall: check.fall,
            expected_status_min: check.expected_status_min,
            expected_status_max: check.expected_status_max,
        }
    }
}

impl Row for BackendRow {
    const TITLES: &'static [&'static str] = &["ID", "URL", "WEIGHT", "STATE", "HEALTH", "SINCE", "SOURCE", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.url.clone(),
            self.weight.to_string(),
            self.admin_state.into(),
            self.health.unwrap_or("-").into(),
            self.since_ms.map_or("-".into(), span),
            self.source.into(),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}

/// The word for an admin state.
pub(crate) fn admin_state_word(state: AdminState) -> &'static str {
    match state {
        AdminState::Unspecified | AdminState::Active => "active",
        AdminState::Draining => "draining",
        AdminState::Disabled => "disabled",
    }
}

fn source_word(source: BackendSource) -> &'static str {
    match source {
        BackendSource::Unspecified => "unknown",
        BackendSource::File => "file",
        BackendSource::Api => "api",
    }
}

fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unspecified | Health::Unknown => "unknown",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_health_and_its_reason() {
        let backend =
            Backend { id: 3, url: "http://h:1".into(), source: BackendSource::Api.into(), ..Backend::default() };
        let status = BackendStatus {
            backend: Some(backend),
            health: Health::Unhealthy.into(),
            reason: "connection refused".into(),
            since_ms: Some(65_400),
        };
        let cells = BackendRow::from(status).cells();
        assert_eq!(cells, ["3", "http://h:1", "1", "active", "unhealthy", "1m 5s", "api", "connection refused"]);
    }
}
