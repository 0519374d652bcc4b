//! How many connections there may be, in all and from one address.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    descriptors,
    metrics::{Metrics, RefusedConnection},
};

/// Prefix length by which IPv6 addresses count as one.
const IPV6_PREFIX: u32 = 64;

/// The connections that are open. One address may hold half of them, so that one caller cannot shut out the others.
pub(crate) struct Seats {
    max: usize,
    taken: Mutex<Taken>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<u128, usize>,
}

impl Seats {
    /// At most `max` connections, and no more than there are descriptors for.
    pub(crate) fn new(max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let affordable = descriptors::affordable_connections();
        if max > affordable {
            tracing::info!(max, affordable, "admin.max_connections: the limit on open files allows fewer");
        }
        Self::of(max.min(affordable), metrics)
    }

    fn of(max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default(), metrics })
    }

    /// A seat for one more connection of `ip`, if there is one.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Seat, RefusedConnection> {
        let address = network(ip);
        let taken = self.count(address);
        taken
            .inspect(|()| self.metrics.connection_opened())
            .inspect_err(|why| self.metrics.connection_refused(*why))?;
        Ok(Seat { seats: self.clone(), address })
    }

    fn count(&self, address: u128) -> Result<(), RefusedConnection> {
        let mut taken = self.taken();
        if taken.in_all >= self.max {
            return Err(RefusedConnection::TooMany);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= self.max.div_ceil(2) {
            return Err(RefusedConnection::TooManyOfAddress);
        }
        *of_address += 1;
        taken.in_all += 1;
        Ok(())
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Counts are changed where nothing can panic: never half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    address: u128,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.in_all -= 1;
        if let Entry::Occupied(mut entry) = taken.by_address.entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        drop(taken);
        self.seats.metrics.connection_closed();
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

    fn seats(max: usize) -> Arc<Seats> {
        Seats::of(max, Metrics::new(&mut Registry::default()))
    }

    fn take(seats: &Arc<Seats>, ip: &str) -> Result<Seat, RefusedConnection> {
        seats.take(ip.parse().unwrap())
    }

    #[test]
    fn one_address_holds_half_and_all_hold_all() {
        let seats = seats(4);
        let mut held = vec![take(&seats, "192.0.2.1").unwrap(), take(&seats, "::ffff:192.0.2.1").unwrap()];
        assert_eq!(take(&seats, "192.0.2.1").err(), Some(RefusedConnection::TooManyOfAddress));
        held.extend([take(&seats, "192.0.2.2").unwrap(), take(&seats, "192.0.2.3").unwrap()]);
        assert_eq!(take(&seats, "192.0.2.4").err(), Some(RefusedConnection::TooMany));
        held.remove(0);
        held.push(take(&seats, "192.0.2.1").unwrap());
        drop(held);
        assert!(seats.taken().by_address.is_empty(), "an address without connections is forgotten");
    }

    #[test]
    fn ipv6_counts_by_network() {
        let seats = seats(2);
        let _held = take(&seats, "2001:db8::1").unwrap();
        assert!(take(&seats, "2001:db8::2").is_err());
        assert!(take(&seats, "2001:db8:0:1::1").is_ok());
    }
}
