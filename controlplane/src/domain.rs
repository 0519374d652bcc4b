//! What the control plane is about, free of SQL, wire and HTTP: limits, backends, settings, and what makes them valid.

mod backend;
mod backend_ca;
mod backend_url;
mod limit;
mod settings;

pub use backend::{AdminState, Backend, BackendChange, BackendKey, BackendSpec, HealthCheck, Source, WEIGHTS, weight};
pub use backend_ca::BackendCa;
pub use backend_url::{BackendUrl, Scheme};
pub use limit::{ClientId, Limit, StoredLimit};
pub use settings::{ClientRules, DefaultLimit, LimitScope, Settings, Strategy};

/// A value that a user gave and that cannot be accepted: which field, and what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct Invalid {
    /// Name of the field as the user wrote it, e.g. `capacity`.
    pub field: &'static str,
    /// What was expected and what came instead, one sentence.
    pub expected: String,
}
