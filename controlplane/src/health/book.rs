//! What the checks found, for everyone who wants to know.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Health;

/// Health of every checked backend by id.
pub(crate) type States = Arc<BTreeMap<u64, Health>>;

/// A backend's health and what it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) health: Health,
    /// One sentence on the last check.
    pub(crate) reason: String,
    /// When health last changed.
    pub(crate) since: Instant,
}

/// Written by the checks, read by streams and status.
pub(crate) struct HealthBook {
    /// Reasons change with every check; nobody waits for them.
    observations: Mutex<BTreeMap<u64, Observation>>,
    /// Wakes streams when health changes, and only then.
    states: watch::Sender<States>,
}

impl HealthBook {
    pub(crate) fn new() -> Self {
        Self { observations: Mutex::default(), states: watch::Sender::new(States::default()) }
    }

    /// Wakes at every change of health.
    pub(crate) fn states(&self) -> watch::Receiver<States> {
        self.states.subscribe()
    }

    /// Everything the book holds.
    pub(crate) fn observations(&self) -> BTreeMap<u64, Observation> {
        self.lock().clone()
    }

    /// Enters a check, unless it was stopped meanwhile, and does `also` with it; answers the health before it if that has
    /// changed. All of it under the lock that [`forget`](Self::forget) takes: what was struck out must not come back.
    pub(super) fn record(
        &self,
        (id, stop): (u64, &CancellationToken),
        health: Health,
        reason: String,
        also: impl FnOnce(),
    ) -> Option<Health> {
        let mut observations = self.lock();
        if stop.is_cancelled() {
            return None;
        }
        also();
        let old = observations.get(&id);
        let before = old.map_or(Health::Unknown, |o| o.health);
        let since = old.filter(|o| o.health == health).map_or_else(Instant::now, |o| o.since);
        observations.insert(id, Observation { health, reason, since });
        if before == health {
            return None;
        }
        self.states.send_modify(|states| _ = Arc::make_mut(states).insert(id, health));
        Some(before)
    }

    /// Strikes out a backend that is not checked any more, once its check was stopped.
    pub(super) fn forget(&self, id: u64) {
        let mut observations = self.lock();
        observations.remove(&id);
        self.states.send_if_modified(|states| states.contains_key(&id) && Arc::make_mut(states).remove(&id).is_some());
    }

    // A poisoned map is whole: single inserts and removes are all that happens to it.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Observation>> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_ends_after_its_backend_was_struck_out_leaves_nothing() {
        let (book, stop) = (HealthBook::new(), CancellationToken::new());
        let record = |counted: &mut u32| book.record((1, &stop), Health::Healthy, "200".into(), || *counted += 1);
        let mut counted = 0;
        assert_eq!(record(&mut counted), Some(Health::Unknown));
        stop.cancel();
        book.forget(1);
        assert_eq!(record(&mut counted), None);
        assert!(book.observations().is_empty() && book.states().borrow().is_empty() && counted == 1);
    }
}
