//! The store, each case over both databases, each time in a fresh one.

mod backends;
mod fixture;
mod import;
mod lifecycle;
mod limits;
mod outage;
mod revisions;
mod sharing;
mod tls;
