//! How a backend did over the last seconds, read off counters that are kept anyway: requests pay nothing for it.

use std::collections::VecDeque;

use super::ServerErrors;
use crate::traffic::{Failure, Traffic};

/// Requests that came to an end, and those that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Tally {
    pub(in crate::pool) requests: u64,
    pub(in crate::pool) failures: u64,
}

impl Tally {
    /// Everything since the process started.
    pub(in crate::pool) fn of(traffic: &Traffic, server_errors: ServerErrors) -> Self {
        let failures = |kind| traffic.failures(kind);
        let (answers, failed): (u64, u64) =
            (traffic.answers().iter().sum(), Failure::ALL.into_iter().map(failures).sum());
        let errors = if server_errors == ServerErrors::Ignored { 0 } else { traffic.answers()[4] };
        // What was cut off had been answered before.
        let requests = answers + failed - failures(Failure::CutOff).min(failed);
        Self { requests, failures: (failed + errors).min(requests) }
    }

    pub(in crate::pool) fn plus(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, failures: self.failures + other.failures }
    }

    pub(in crate::pool) fn minus(self, other: Self) -> Self {
        let requests = self.requests.saturating_sub(other.requests);
        Self { requests, failures: self.failures.saturating_sub(other.failures).min(requests) }
    }

    /// Whether less than this share of the requests succeeded; of no requests that cannot be said.
    pub(in crate::pool) fn is_below(self, percent: u32) -> bool {
        u128::from(self.requests - self.failures) * 100 < u128::from(self.requests) * u128::from(percent)
    }
}

/// What the review keeps of a backend from second to second.
#[derive(Debug, Default)]
pub(in crate::pool) struct Watch {
    /// All there was, second by second, oldest first.
    marks: VecDeque<Tally>,
    /// Seconds without an ejection.
    calm_secs: u32,
}

impl Watch {
    /// One more second has passed, and there were `total` by its end. Gives what there was within the window.
    pub(in crate::pool) fn second(&mut self, total: Tally, window_secs: u32) -> Tally {
        if self.marks.is_empty() {
            self.marks.push_back(Tally::default());
        }
        let within = total.minus(self.marks.front().copied().unwrap_or_default());
        self.marks.push_back(total);
        while self.marks.len() > window_secs as usize {
            self.marks.pop_front();
        }
        within
    }

    /// What was up to now counts no longer.
    pub(in crate::pool) fn restart(&mut self, total: Tally) {
        self.marks.clear();
        self.marks.push_back(total);
        self.calm_secs = 0;
    }

    /// Whether another window has passed without an ejection.
    pub(in crate::pool) fn is_calm(&mut self, window_secs: u32) -> bool {
        self.calm_secs += 1;
        let calm = self.calm_secs >= window_secs;
        if calm {
            self.calm_secs = 0;
        }
        calm
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_tally_counts_each_request_once() {
        let traffic = Traffic::default();
        [200, 200, 500].into_iter().for_each(|status| traffic.answered(status));
        [Failure::Reset, Failure::CutOff].into_iter().for_each(|failure| traffic.failed(failure));
        let tally = |errors| Tally::of(&traffic, errors);
        assert_eq!(tally(ServerErrors::Ignored), Tally { requests: 4, failures: 2 });
        assert_eq!(tally(ServerErrors::Rate), Tally { requests: 4, failures: 3 });
    }

    proptest! {
        #[test]
        fn the_window_holds_the_last_seconds_and_no_more(
            seconds in vec((0u64..100, 0u64..100), 1..50), window_secs in 1u32..20,
        ) {
            let mut watch = Watch::default();
            let seconds: Vec<_> =
                seconds.iter().map(|(good, bad)| Tally { requests: good + bad, failures: *bad }).collect();
            let sum = |part: &[Tally]| part.iter().fold(Tally::default(), |sum, second| sum.plus(*second));
            for last in 1..=seconds.len() {
                let first = last.saturating_sub(window_secs as usize);
                prop_assert_eq!(watch.second(sum(&seconds[..last]), window_secs), sum(&seconds[first..last]));
            }
            watch.restart(sum(&seconds));
            prop_assert_eq!(watch.second(sum(&seconds), window_secs), Tally::default());
        }
    }
}
