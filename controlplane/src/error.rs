//! Why a control plane ends other than by being asked to.

use crate::{config::ConfigError, store::StoreError};

/// Whose fault it is decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used. Exit code 64.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The admin port cannot be bound. Exit code 1.
    #[error("cannot listen on {address}: {source}; is another instance running? set admin.port or BALANCER_ADMIN_PORT")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database cannot be opened or brought up to date. Exit code 1; 64 if the configuration does not fit it.
    #[error("database {database}: {source}")]
    Store {
        /// The database, without its password.
        database: String,
        /// What went wrong.
        source: StoreError,
    },
    /// The operating system refused something else. Exit code 1.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// What the process should exit with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Store { source: StoreError::Invalid(_), .. } => 64,
            _ => 1,
        }
    }
}
