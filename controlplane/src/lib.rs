//! The control plane: owns the database, checks backends, and tells every data plane what it should have.

mod auth;
mod authority;
mod backoff;
pub mod config;
mod convert;
mod descriptors;
pub mod domain;
mod entrance;
mod error;
mod explain;
mod grpc;
mod health;
mod hub;
mod keeper;
pub mod ledger;
mod listeners;
pub mod logging;
mod metrics;
mod openapi;
mod plane;
mod probe;
mod reload;
mod replicas;
mod rest;
mod run;
mod server;
pub mod signals;
pub mod store;
mod tally;
mod tls;
mod waiting;

pub use auth::Token;
pub use error::Error;
pub use listeners::{Companion, Internal, Listeners};
pub use run::{VERSION, listen, run};
pub use tls::{AdminTls, TlsFiles};
