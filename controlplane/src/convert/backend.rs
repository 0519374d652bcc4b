//! Backends and their health.

use balancer_proto::v1;

use super::health_check::{health_check, new_health_check};
use crate::{
    domain::{
        AdminState, Backend, BackendChange, BackendKey, BackendSpec, BackendUrl, HealthCheck, Invalid, Source, weight,
    },
    health::{Health, Observation},
};

/// A backend as it travels.
pub(crate) fn backend(backend: &Backend) -> v1::Backend {
    v1::Backend {
        id: backend.id,
        url: backend.spec.url.as_str().to_owned(),
        weight: backend.spec.weight,
        admin_state: admin_state(backend.admin_state).into(),
        source: source(backend.source).into(),
        health_check: Some(health_check(&backend.spec.health_check)),
    }
}

/// What a data plane balances over: disabled backends are left out.
pub(crate) fn pool(backends: &[Backend]) -> v1::Pool {
    let enabled = backends.iter().filter(|b| b.admin_state != AdminState::Disabled);
    v1::Pool { backends: enabled.map(backend).collect() }
}

/// A backend with what its checks found.
pub(crate) fn backend_status(of: &Backend, observation: Option<&Observation>) -> v1::BackendStatus {
    v1::BackendStatus {
        backend: Some(backend(of)),
        health: health(observation.map_or(Health::Unknown, |o| o.health)).into(),
        reason: observation.map(|o| o.reason.clone()).unwrap_or_default(),
        since_ms: observation.map(|o| o.since.elapsed().as_millis() as u64),
    }
}

/// Health as it travels.
pub(crate) fn health(health: Health) -> v1::Health {
    match health {
        Health::Unknown => v1::Health::Unknown,
        Health::Healthy => v1::Health::Healthy,
        Health::Unhealthy => v1::Health::Unhealthy,
    }
}

/// A backend that a user wants added.
pub(crate) fn backend_spec(request: &v1::AddBackendRequest) -> Result<BackendSpec, Invalid> {
    Ok(BackendSpec {
        url: BackendUrl::new(&request.url)?,
        weight: weight(if request.weight == 0 { 1 } else { request.weight })?,
        health_check: request.health_check.as_ref().map_or(Ok(HealthCheck::default()), new_health_check)?,
    })
}

/// What a user wants changed; `None` where nothing is said.
pub(crate) fn backend_change(request: &v1::UpdateBackendRequest) -> Result<BackendChange, Invalid> {
    let change = BackendChange {
        weight: request.weight.map(weight).transpose()?,
        admin_state: match v1::AdminState::try_from(request.admin_state) {
            Ok(v1::AdminState::Unspecified) => None,
            Ok(v1::AdminState::Active) => Some(AdminState::Active),
            Ok(v1::AdminState::Draining) => Some(AdminState::Draining),
            Ok(v1::AdminState::Disabled) => Some(AdminState::Disabled),
            Err(_) => return Err(unknown_state(request.admin_state)),
        },
    };
    if change == BackendChange::default() {
        let expected = "expected weight or admin_state or both, got neither".to_owned();
        return Err(Invalid { field: "weight", expected });
    }
    Ok(change)
}

fn unknown_state(number: i32) -> Invalid {
    Invalid { field: "admin_state", expected: format!("expected ACTIVE, DRAINING or DISABLED, got number {number}") }
}

/// Which backend is meant.
pub(crate) fn backend_key(id: Option<u64>, url: Option<&str>) -> Result<BackendKey, Invalid> {
    match (id, url) {
        (Some(id), _) => Ok(BackendKey::Id(id)),
        (None, Some(url)) => BackendUrl::new(url).map(BackendKey::Url),
        (None, None) => Err(Invalid { field: "selector", expected: "expected an id or a url, got neither".into() }),
    }
}

fn admin_state(state: AdminState) -> v1::AdminState {
    match state {
        AdminState::Active => v1::AdminState::Active,
        AdminState::Draining => v1::AdminState::Draining,
        AdminState::Disabled => v1::AdminState::Disabled,
    }
}

fn source(source: Source) -> v1::BackendSource {
    match source {
        Source::File => v1::BackendSource::File,
        Source::Api => v1::BackendSource::Api,
    }
}
