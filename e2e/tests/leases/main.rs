//! Limits that hold across all data planes, proved on the protocol itself: the ledger and data planes' leases, the real
//! ones, driven by virtual time through seeded schedules of loss, delay, duplication, reordering, crash, restart and
//! partition. After every admitted request the sum is checked. A failure prints its seed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod alone;
mod client;
mod crowded;
mod double_faults;
mod every_order;
mod namesakes;
mod replica;
mod schedule;
mod use_of_limits;
mod world;
