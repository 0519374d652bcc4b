//! How many connections the admin port may have.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Resource, getrlimit};

/// Of the file descriptors there are, the admin port gets this share at most: clients and backends need them.
const SHARE: u64 = 8;

/// The connections that are open. One address may hold half of them, so that one caller cannot shut out the others.
pub(super) struct Seats {
    max: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

impl Seats {
    /// At most `max`, and no more than there are descriptors for.
    pub(super) fn new(max: usize) -> Arc<Self> {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        // At least a few: better to try and fail than to answer nobody.
        let affordable = usize::try_from(limit / SHARE).unwrap_or(usize::MAX).max(8);
        if max > affordable {
            tracing::info!(max, affordable, "--admin-max-connections: the limit on open files allows fewer");
        }
        Arc::new(Self { max: max.min(affordable), taken: Mutex::default() })
    }

    /// A seat for one more connection of `ip`; `None`: there is none.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let ip = ip.to_canonical();
        let mut taken = self.taken();
        let (in_all, of_ip) = (taken.values().sum::<usize>(), taken.get(&ip).copied().unwrap_or_default());
        if in_all >= self.max || of_ip >= self.max.div_ceil(2) {
            return None;
        }
        taken.insert(ip, of_ip + 1);
        Some(Seat { seats: Arc::clone(self), ip })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Counts are changed in one step each: never half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, given back when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.seats.taken().entry(self.ip) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_holds_half_and_seats_come_back() {
        let seats = Seats::new(4);
        let take = |ip: &str| seats.take(ip.parse().unwrap());
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && take("192.0.2.1").is_none());
        let others = [take("192.0.2.2"), take("192.0.2.3")];
        assert!(others.iter().all(Option::is_some) && take("192.0.2.4").is_none());
        drop((held, others));
        assert!(seats.taken().is_empty(), "an address without connections is forgotten");
    }
}
