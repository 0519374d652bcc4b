//! The time for which this control plane is the authority.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::store::Epoch;

/// A term. It ends by itself unless it is extended, also for a process that was stopped meanwhile and does not know.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) epoch: u64,
    /// Data planes that may hold tokens of the ledger before.
    pub(crate) remembered: BTreeSet<String>,
    /// `None`: it does not end by itself.
    until: Mutex<Option<Instant>>,
}

impl Term {
    /// A term that lasts until `until`; `None`: it does not end by itself.
    pub(super) fn new(epoch: Epoch, until: Option<Instant>) -> Self {
        Self { epoch: epoch.number, remembered: epoch.remembered, until: Mutex::new(until) }
    }

    /// Whether it lasts.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts_at(Instant::now())
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        *self.lock() = Some(Instant::now());
    }

    pub(super) fn until(&self) -> Option<Instant> {
        *self.lock()
    }

    /// Makes it last longer; false: it is over, and somebody may have acted on that.
    pub(super) fn extend(&self, to: Instant, now: Instant) -> bool {
        let mut until = self.lock();
        let lasts = until.is_none_or(|until| now < until);
        if lasts && until.is_some() {
            *until = Some(to);
        }
        lasts
    }

    fn lasts_at(&self, now: Instant) -> bool {
        self.until().is_none_or(|until| now < until)
    }

    // A poisoned time is whole.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_term_ends_by_itself_and_for_good() {
        let epoch = Epoch { number: 1, remembered: BTreeSet::new() };
        let (start, second) = (Instant::now(), Duration::from_secs(1));
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
