//! The proxy port in one process: real sockets, real threads, backends that behave as told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod plane;
mod program;

mod caps;
mod descriptors;
mod forwarded_for;
mod forwarding;
mod hostile;
mod http2;
mod interim;
mod keep_alive;
mod large_bodies;
mod options;
mod outliers;
mod proxy_protocol;
mod shutdown;
mod streaming;
mod tls;
mod upgrade;
