//! Saying in the log what goes on and on, but not each time.

use std::cell::Cell;

use crate::clock::Nanos;

/// How often the log is told, at most.
const INTERVAL_NS: u64 = 10 * Nanos::SECOND.0;

/// When the log was last told of one thing.
#[derive(Default)]
pub(super) struct Complaints(Cell<Option<Nanos>>);

impl Complaints {
    /// Whether it is time to tell it.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        let due = self.0.get().is_none_or(|last| now.since(last) >= INTERVAL_NS);
        if due {
            self.0.set(Some(now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_then_once_per_interval() {
        let complaints = Complaints::default();
        let due: Vec<_> = [0, 1, 9, 10, 11, 20].map(|s| complaints.is_due(Nanos(s * Nanos::SECOND.0))).into();
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
