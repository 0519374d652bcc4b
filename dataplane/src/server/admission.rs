//! How many connections there may be, in all and from one address.
//!
//! A connection beyond that is told so (503) and closed: a client that waits in the kernel's queue instead learns
//! nothing, and cannot go elsewhere. A few are told at once; more than that are closed without a word.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::quality::RandomState;

use super::descriptors;
use crate::{metrics::RefusedConnection, shared::Shared};

/// Connections that are being told that there are too many.
const MAX_REFUSALS: usize = 64;

/// Prefix length by which IPv6 addresses count as one.
const IPV6_PREFIX: u32 = 64;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionCaps {
    /// In all; 0: three quarters of what the limit on file descriptors allows; the rest is for backends.
    pub max: usize,
    /// From one address (IPv6: one /64); 0: any number.
    pub per_client: usize,
}

/// The connections that are open.
pub(super) struct Admission {
    caps: ConnectionCaps,
    open: AtomicUsize,
    refusals: AtomicUsize,
    /// Empty unless there is a cap per address.
    clients: Mutex<HashMap<u128, usize, RandomState>>,
    shared: Arc<Shared>,
}

/// A connection's place among them, given back when it is dropped.
pub(super) struct Seat {
    admission: Arc<Admission>,
    kind: Kind,
    client: Option<u128>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Admitted,
    /// To be told that there are too many.
    Refused,
    /// To be closed without a word.
    Dropped,
}

impl Admission {
    pub(super) fn new(caps: ConnectionCaps, threads: usize, shared: Arc<Shared>) -> Arc<Self> {
        let affordable = descriptors::affordable_connections(threads);
        let max = if caps.max == 0 { affordable } else { caps.max };
        if max > affordable {
            tracing::warn!(max, affordable, "more connections are allowed than there are file descriptors for");
        }
        tracing::info!(max, per_client = caps.per_client, "connections allowed at once (0: any number)");
        let caps = ConnectionCaps { max, ..caps };
        Arc::new(Self {
            caps,
            open: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            clients: Mutex::default(),
            shared,
        })
    }

    /// Takes a seat for a connection that was accepted.
    pub(super) fn take_seat(self: &Arc<Self>) -> Seat {
        self.shared.metrics.connections.accepted();
        let mut seat = Seat { admission: self.clone(), kind: Kind::Admitted, client: None };
        if self.open.fetch_add(1, Relaxed) >= self.caps.max {
            seat.refuse(RefusedConnection::TooMany);
        }
        seat
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u128, usize, RandomState>> {
        // Counts are changed in one step each: never half changed.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more connection of this address is counted.
    fn count(&self, client: u128) -> bool {
        let mut clients = self.clients();
        let open = clients.entry(client).or_default();
        let fits = *open < self.caps.per_client;
        *open += usize::from(fits);
        fits
    }

    fn discount(&self, client: u128) {
        if let Entry::Occupied(mut entry) = self.clients().entry(client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Seat {
    /// Counts the connection as one of `ip`'s, which may be one too many.
    pub(super) fn claim_for(&mut self, ip: IpAddr) {
        if self.admission.caps.per_client == 0 || self.kind != Kind::Admitted {
            return;
        }
        let client = network(ip);
        if self.admission.count(client) {
            self.client = Some(client);
        } else {
            self.refuse(RefusedConnection::TooManyOfClient);
        }
    }

    /// Whether the client is to be told that there are too many connections.
    pub(super) fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether there is not even time to tell.
    pub(super) fn is_dropped(&self) -> bool {
        self.kind == Kind::Dropped
    }

    fn refuse(&mut self, why: RefusedConnection) {
        let admission = &self.admission;
        admission.shared.metrics.connections.refused(why);
        admission.open.fetch_sub(1, Relaxed);
        self.kind = if admission.refusals.fetch_add(1, Relaxed) < MAX_REFUSALS {
            Kind::Refused
        } else {
            admission.refusals.fetch_sub(1, Relaxed);
            Kind::Dropped
        };
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.kind {
            Kind::Admitted => self.admission.open.fetch_sub(1, Relaxed),
            Kind::Refused => self.admission.refusals.fetch_sub(1, Relaxed),
            Kind::Dropped => 0,
        };
        if let Some(client) = self.client {
            self.admission.discount(client);
        }
        self.admission.shared.metrics.connections.closed();
    }
}

/// What counts as one address.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() & (u128::MAX << (128 - IPV6_PREFIX)),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn admission(max: usize, per_client: usize) -> Arc<Admission> {
        Admission::new(ConnectionCaps { max, per_client }, 1, Shared::new(10, &mut Registry::default()))
    }

    fn seat(admission: &Arc<Admission>, ip: &str) -> Seat {
        let mut seat = admission.take_seat();
        seat.claim_for(ip.parse().unwrap());
        seat
    }

    #[test]
    fn seats_come_back() {
        let admission = admission(2, 0);
        for _ in 0..3 {
            let held = [admission.take_seat(), admission.take_seat()];
            assert!(held.iter().all(|seat| !seat.is_refused()));
            assert!(admission.take_seat().is_refused());
        }
        assert_eq!(admission.shared.metrics.connections.refused_total(RefusedConnection::TooMany), 3);
        assert_eq!(admission.shared.metrics.connections.open(), 0);
    }

    #[test]
    fn only_so_many_are_told() {
        let admission = admission(1, 0);
        let _held = admission.take_seat();
        let told: Vec<_> = (0..MAX_REFUSALS).map(|_| admission.take_seat()).collect();
        assert!(told.iter().all(Seat::is_refused));
        assert!(admission.take_seat().is_dropped());
        drop(told);
        assert!(admission.take_seat().is_refused());
    }

    #[test]
    fn an_address_has_its_own_cap_and_ipv6_counts_by_network() {
        let admission = admission(100, 1);
        let first = seat(&admission, "192.0.2.1");
        assert!(!first.is_refused());
        assert!(seat(&admission, "192.0.2.1").is_refused());
        assert!(seat(&admission, "::ffff:192.0.2.1").is_refused());
        assert!(!seat(&admission, "192.0.2.2").is_refused());
        drop(first);
        assert!(!seat(&admission, "192.0.2.1").is_refused());
        let _sixth = seat(&admission, "2001:db8::1");
        assert!(seat(&admission, "2001:db8::2").is_refused());
        assert!(!seat(&admission, "2001:db8:0:1::1").is_refused());
    }

    #[test]
    fn what_is_refused_takes_no_seat() {
        let admission = admission(2, 1);
        let _held = seat(&admission, "192.0.2.1");
        let _refused: Vec<_> = (0..10).map(|_| seat(&admission, "192.0.2.1")).collect();
        assert!(!seat(&admission, "192.0.2.2").is_refused());
        assert_eq!(admission.clients().len(), 1, "an address without connections is forgotten");
    }
}
