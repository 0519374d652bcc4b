//! The store, each case over both databases, each time in a fresh one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod backends;
mod epochs;
mod fixture;
mod import;
mod lifecycle;
mod limits;
mod outage;
mod revisions;
mod sharing;
mod tls;
