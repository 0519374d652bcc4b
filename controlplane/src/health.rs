//! Active health checks: one task per backend that is not disabled, and the book they write to.
//!
//! Health has no revision and is not stored: every control plane looks for itself.

mod ask;
mod book;
mod check;
mod judge;
mod manager;

pub(crate) use book::{HealthBook, Observation, States};
pub(crate) use manager::run;

/// What the checks of a backend found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    /// Not checked yet.
    #[default]
    Unknown,
    /// Takes requests.
    Healthy,
    /// Takes none.
    Unhealthy,
}

impl Health {
    /// For logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}
