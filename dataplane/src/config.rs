//! What a data plane is told when it starts.

mod args;
mod check;
mod control_plane_args;
mod edge_args;
mod pool_args;
mod proxy_args;

pub use args::{Args, Cli};
pub use check::hostname;
pub(crate) use check::made_up_replica_id;
pub use control_plane_args::ControlPlaneTlsArgs;
pub use edge_args::EdgeArgs;
pub use pool_args::PoolArgs;
pub use proxy_args::ProxyArgs;

use std::{net::SocketAddr, path::PathBuf};

use http::Uri;

use crate::{logging::LogFormat, server::ServeOptions, sync::ControlPlaneTls};

/// A setting that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}, got {value:?}")]
pub struct ConfigError {
    /// The flag and its environment variable.
    pub key: String,
    /// What was given; a secret is left out.
    pub value: String,
    /// What would have been accepted.
    pub expected: String,
}

/// Everything a data plane is told; built from [`Args`] or in code.
#[derive(Clone, Debug)]
pub struct Config {
    /// Control planes, tried in this order; the next one when one fails. `http://host:port` or `https://host:port` each.
    pub control_planes: Vec<Uri>,
    /// How those with `https` are spoken to.
    pub control_plane_tls: ControlPlaneTls,
    /// Sent to the control plane as a bearer token.
    pub token: Option<Secret>,
    /// Where clients are served.
    pub listen: SocketAddr,
    /// Where metrics and health are served.
    pub admin_listen: SocketAddr,
    /// Asked of whoever reads metrics.
    pub admin_token: Option<Secret>,
    /// Connections that the admin port may have at once; one address may have half of them.
    pub admin_max_connections: usize,
    /// Where the last good snapshot is kept; `None`: nowhere.
    pub state_dir: Option<PathBuf>,
    /// Threads that serve clients.
    pub threads: usize,
    /// Client buckets there is room for.
    pub max_clients: usize,
    /// Names this data plane to the control plane; unique per running one. `None`: as kept in `state_dir`, or a new one.
    pub replica_id: Option<String>,
    /// Time-outs and switches of the request path.
    pub serve: ServeOptions,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged, as a `tracing` filter, e.g. `info` or `info,dataplane::sync=debug`.
    pub log_level: String,
}

/// A token: it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `None` if the text is empty: an empty variable means "no token", not "the empty token".
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests;
