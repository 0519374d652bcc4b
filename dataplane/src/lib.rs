//! The data plane: a lean HTTP proxy that decides every request locally.

mod admin;
pub mod backend_tls;
pub mod balance;
mod buffers;
pub mod client;
pub mod clock;
mod config;
mod convert;
#[cfg(test)]
mod fixtures;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod http1;
pub mod http2;
pub mod lease;
mod leasing;
pub mod limit;
pub mod limiter;
pub mod limits;
pub mod logging;
pub mod metrics;
mod pipes;
pub mod pool;
mod proxy;
pub mod proxy_protocol;
mod run;
pub mod server;
pub mod shared;
mod signals;
pub mod snapshot;
mod state_file;
mod sync;
pub mod traffic;
mod upstream;

pub use config::{
    Args, Cli, Config, ConfigError, ControlPlaneTlsArgs, EdgeArgs, PoolArgs, ProxyArgs, Secret, hostname,
};
pub use convert::Refusal;
pub use leasing::{LeaseDesk, SharedClient};
pub use run::{Error, Listeners, run, start};
pub use shared::Shared;
pub use state_file::StateDirError;
pub use sync::{ControlPlaneTls, Identity, TlsFault};
