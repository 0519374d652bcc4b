//! What happens often and is told once in a while.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time between two lines about the same thing.
const LINES_APART: Duration = Duration::from_secs(10);

/// Counts what is told once in a while, so that a flood is one line and not thousands.
pub(crate) struct Tally(Mutex<Count>);

struct Count {
    since_told: u64,
    told: Option<Instant>,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Count { since_told: 0, told: None }))
    }

    /// How many there were since the last time this was told, if it is time to tell again.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        // A poisoned count is whole: it is two numbers.
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.since_told += 1;
        let due = count.told.is_none_or(|told| now.duration_since(told) >= LINES_APART);
        due.then(|| {
            count.told = Some(now);
            std::mem::take(&mut count.since_told)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_a_while() {
        let (tally, start) = (Tally::new(), Instant::now());
        assert_eq!(tally.count_at(start), Some(1));
        assert!((0..100).all(|_| tally.count_at(start + LINES_APART / 2).is_none()));
        assert_eq!(tally.count_at(start + LINES_APART), Some(101));
    }
}
