//! Where a data plane stands.

use std::time::Duration;

use tokio::time::Instant;

use crate::hub::Held;

/// First pause after a refusal.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after refusals in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the data plane holds, as far as is known; decides what it gets next.
#[derive(Debug)]
pub(super) enum Position {
    /// It holds this, or will once it has applied what was sent.
    At(Held),
    /// It holds nothing that could be built on: it gets everything.
    Nothing,
    /// It says it holds something newer than this control plane has read. It is left alone until the store has
    /// answered a question asked since; otherwise a control plane that lags behind would take it back in time.
    Ahead { held: Held, answers: u32 },
    /// It refused what it got: it gets everything at `until`, or at a change if `at_change`.
    Refused { until: Instant, at_change: bool },
}

/// Refusals in a row.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    in_a_row: u32,
}

impl Refusals {
    /// Counts one. Only the first is answered at the next change already: a data plane that refuses everything must
    /// not get everything at every change.
    pub(super) fn count(&mut self, now: Instant) -> Position {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(6)).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Position::Refused { until: now + pause, at_change: self.in_a_row == 1 }
    }

    pub(super) fn reset(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        let mut pause = || match refusals.count(now) {
            Position::Refused { until, at_change } => ((until - now).as_secs(), at_change),
            other => panic!("{other:?}"),
        };
        let pauses: Vec<_> = std::iter::repeat_with(&mut pause).take(8).collect();
        let expected =
            [(1, true), (2, false), (4, false), (8, false), (16, false), (32, false), (60, false), (60, false)];
        assert_eq!(pauses, expected);
    }
}
