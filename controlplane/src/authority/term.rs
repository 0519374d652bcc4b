//! The time for which this control plane is the authority.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock, store::Epoch};

/// A term. It ends by itself unless it is extended, also for a process that was stopped meanwhile and does not know.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) epoch: u64,
    /// Data planes that may hold tokens of the ledger before.
    pub(crate) remembered: BTreeSet<String>,
    /// Since boot, as data planes' leases are measured: a machine that was suspended wakes up to a term that is over.
    /// `None`: it does not end by itself.
    until: Mutex<Option<Duration>>,
}

impl Term {
    /// A term that lasts until `until` since boot; `None`: it does not end by itself.
    pub(super) fn new(epoch: Epoch, until: Option<Duration>) -> Self {
        Self { epoch: epoch.number, remembered: epoch.remembered, until: Mutex::new(until) }
    }

    /// Whether it lasts.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts_at(clock::since_boot())
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        *self.lock() = Some(clock::since_boot());
    }

    pub(super) fn until(&self) -> Option<Duration> {
        *self.lock()
    }

    /// Makes it last longer; false: it is over, and somebody may have acted on that.
    pub(super) fn extend(&self, to: Duration, now: Duration) -> bool {
        let mut until = self.lock();
        let lasts = until.is_none_or(|until| now < until);
        if lasts && until.is_some() {
            *until = Some(to);
        }
        lasts
    }

    fn lasts_at(&self, now: Duration) -> bool {
        self.until().is_none_or(|until| now < until)
    }

    // A poisoned time is whole.
    fn lock(&self) -> MutexGuard<'_, Option<Duration>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends_by_itself_and_for_good() {
        let epoch = Epoch { number: 1, remembered: BTreeSet::new() };
        let (start, second) = (clock::since_boot(), Duration::from_secs(1));
        let term = Term::new(epoch.clone(), Some(start + 2 * second));
        assert!(term.lasts_at(start + second) && term.extend(start + 3 * second, start + second));
        assert!(term.lasts_at(start + 2 * second));
        let late = start + 3 * second;
        assert!(!term.lasts_at(late) && !term.extend(late + second, late) && !term.lasts_at(late));
        let endless = Term::new(epoch, None);
        assert!(endless.extend(start, start) && endless.lasts());
        endless.end();
        assert!(!endless.lasts());
    }
}
