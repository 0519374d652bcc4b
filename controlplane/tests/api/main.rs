//! The control plane as its callers see it, over real sockets.

// Helpers count as tests too: what goes wrong in them fails the test.
#![allow(clippy::unwrap_used)]

mod auth;
mod authority;
mod backend_tls;
mod config;
mod connections;
mod faults;
mod grpc;
mod harness;
mod health;
mod invisible;
mod lease;
mod pages;
mod postgres;
mod raw;
mod reload;
mod rest;
mod sync;
mod tls;
mod waiting;
