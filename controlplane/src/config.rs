//! The configuration: `config.yaml`, then environment variables, then flags, each beating the one before.
//!
//! Everything ends up in one tree of values that know where they came from, which is read once, key by key; so every
//! error can name its file and line (or its flag), its key, the value and what was expected.

mod admin;
mod admin_tls;
mod advertise;
mod args;
mod backends;
mod database;
mod error;
mod field;
mod overlay;
mod read;
mod settings;
mod tree;

use std::{path::PathBuf, time::Duration};

pub use admin::AdminConfig;
pub use args::{Args, PgArgs, Secret};
pub use error::ConfigError;

use crate::{
    domain::{BackendSpec, Settings},
    store::DatabaseConfig,
};

/// Where the configuration file is looked for when no flag names one.
pub const DEFAULT_PATH: &str = "config/config.yaml";

/// Silence after which a heartbeat is sent.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// Everything the control plane can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None`: there was none.
    pub file: Option<PathBuf>,
    /// Where the all-in-one `balancer` serves its proxy; a control plane alone ignores it.
    pub server: ServerConfig,
    /// Time between health checks of a backend that does not say its own (`ticker_rate_sec`).
    pub check_interval: Duration,
    /// What holds for every data plane.
    pub settings: Settings,
    /// Backends of the file, in its order.
    pub backends: Vec<BackendSpec>,
    /// The admin port.
    pub admin: AdminConfig,
    /// Where the configuration is kept.
    pub database: DatabaseConfig,
    /// Silence on a data plane's stream after which each side sends a heartbeat; three times as much ends it. No key of
    /// the file: [`HEARTBEAT`], unless a test is in a hurry.
    pub heartbeat: Duration,
}

/// Address of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// An IP address or a host name.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
}

/// Reads the configuration file that `args` name (or the one at [`DEFAULT_PATH`], if there is one) and lays the
/// environment and the flags over it. A file named explicitly must exist.
pub fn load(args: &Args) -> Result<Config, ConfigError> {
    let (file, mut root) = match args.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => (Some(path.clone()), tree::from_file(path)?),
        None if PathBuf::from(DEFAULT_PATH).exists() => {
            let path = PathBuf::from(DEFAULT_PATH);
            let root = tree::from_file(&path)?;
            (Some(path), root)
        }
        None => (None, tree::empty()),
    };
    overlay::apply(args, &mut root);
    read::config(file, root)
}
