//! A row of `backends`.

use diesel::prelude::{AsChangeset, Insertable, Queryable, Selectable};

use super::unreadable;
use crate::domain::{AdminState, Backend, BackendSpec, BackendUrl, HealthCheck, Source};
use crate::store::StoreError;
use crate::store::schema::backends;

/// A row of `backends` without its id.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = backends, treat_none_as_default_value = false, treat_none_as_null = true)]
pub(in crate::store) struct BackendRecord {
    url: String,
    weight: i32,
    admin_state: String,
    source: String,
    health_method: String,
    health_path: String,
    health_interval_ms: Option<i64>,
    health_timeout_ms: i64,
    health_rise: i64,
    health_fall: i64,
    health_status_min: i32,
    health_status_max: i32,
    revision: i64,
}

impl BackendRecord {
    /// The row for a backend that changes at `revision`.
    pub(in crate::store) fn new(
        spec: &BackendSpec,
        admin_state: AdminState,
        source: Source,
        revision: i64,
    ) -> Result<Self, StoreError> {
        let health = &spec.health_check;
        Ok(Self {
            url: spec.url.as_str().into(),
            weight: i32::try_from(spec.weight).map_err(|e| unreadable("backends", &e))?,
            admin_state: admin_state_text(admin_state).into(),
            source: source_text(source).into(),
            health_method: health.method.clone(),
            health_path: health.path.clone(),
            health_interval_ms: health.interval_ms.map(i64::from),
            health_timeout_ms: health.timeout_ms.into(),
            health_rise: health.rise.into(),
            health_fall: health.fall.into(),
            health_status_min: health.expected_status_min.into(),
            health_status_max: health.expected_status_max.into(),
            revision,
        })
    }

    /// The backend this row, whose id is `id`, stands for.
    pub(in crate::store) fn into_backend(self, id: i64) -> Result<Backend, StoreError> {
        let health_check = HealthCheck {
            interval_ms: self.health_interval_ms.map(number).transpose()?,
            timeout_ms: number(self.health_timeout_ms)?,
            rise: number(self.health_rise)?,
            fall: number(self.health_fall)?,
            expected_status_min: number(self.health_status_min)?,
            expected_status_max: number(self.health_status_max)?,
            method: self.health_method,
            path: self.health_path,
        };
        let url = BackendUrl::new(&self.url).map_err(|e| unreadable("backends", &e))?;
        Ok(Backend {
            id: id.cast_unsigned(),
            spec: BackendSpec { url, weight: number(self.weight)?, health_check },
            admin_state: parse_admin_state(&self.admin_state)?,
            source: parse_source(&self.source)?,
        })
    }
}

fn number<T, U: TryFrom<T, Error = std::num::TryFromIntError>>(value: T) -> Result<U, StoreError> {
    U::try_from(value).map_err(|e| unreadable("backends", &e))
}

fn admin_state_text(state: AdminState) -> &'static str {
    match state {
        AdminState::Active => "active",
        AdminState::Draining => "draining",
        AdminState::Disabled => "disabled",
    }
}

fn parse_admin_state(text: &str) -> Result<AdminState, StoreError> {
    [AdminState::Active, AdminState::Draining, AdminState::Disabled]
        .into_iter()
        .find(|state| admin_state_text(*state) == text)
        .ok_or_else(|| unreadable("backends", &format!("admin_state {text:?}")))
}

fn source_text(source: Source) -> &'static str {
    match source {
        Source::File => "file",
        Source::Api => "api",
    }
}

fn parse_source(text: &str) -> Result<Source, StoreError> {
    [Source::File, Source::Api]
        .into_iter()
        .find(|source| source_text(*source) == text)
        .ok_or_else(|| unreadable("backends", &format!("source {text:?}")))
}
