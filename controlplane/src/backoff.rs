//! Exponential backoff with full jitter: each pause is drawn evenly from zero up to a ceiling that doubles, so that many
//! that lost the same server do not come back together.

use std::time::Duration;

/// How long to wait between tries.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// The ceiling doubles from `first` to `last`.
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, next: first }
    }

    /// The pause before the next try.
    pub(crate) fn pause(&mut self) -> Duration {
        self.ceiling().mul_f64(fastrand::f64())
    }

    /// Something worked.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    fn ceiling(&mut self) -> Duration {
        let ceiling = self.next;
        self.next = (ceiling * 2).min(self.last);
        ceiling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_last_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        assert_eq!([(); 5].map(|()| backoff.ceiling().as_millis()), [100, 200, 400, 500, 500]);
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
