//! What the end-to-end stories are told with: the real programs as processes, clients that see every byte, load that
//! counts every failure.
//!
//! The programs are taken from the target directory the test runs from; `cargo build --workspace` puts them there.

mod backend;
mod certificates;
mod config_file;
mod control_plane;
mod ctl;
mod data_plane;
mod database;
pub mod http;
mod load;
mod log;
mod metrics;
mod process;
mod program;
pub mod raw;
mod scripted;
mod setup;
pub mod wait;

pub use backend::Backend;
pub use certificates::Authority;
pub use config_file::ConfigFile;
pub use control_plane::ControlPlane;
pub use ctl::{Ctl, Output};
pub use data_plane::DataPlane;
pub use database::Database;
pub use load::{Load, Tally};
pub use metrics::{Metrics, scrape};
pub use process::Process;
pub use program::Program;
pub use scripted::Scripted;
pub use setup::{Deployment, Setup};
