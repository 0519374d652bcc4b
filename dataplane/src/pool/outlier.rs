//! When a data plane stops sending requests to a backend on its own judgement, between the control plane's checks or
//! without a control plane.
//!
//! The rules are those of Envoy's outlier detection ("consecutive gateway failure", "failure percentage", ejection time
//! by number of ejections, `max_ejection_percent`, panic threshold), with two differences. A backend is ejected for its
//! success rate only if the others do better: where all fail alike, nobody is an outlier. And a backend that cannot be
//! connected to is not judged but known to be gone: neither the cap nor panic sends requests there while there are others.

mod ejection;
mod window;

pub use self::ejection::Reason;
pub(super) use self::{
    ejection::Ejection,
    window::{Tally, Watch},
};

/// Whether an answer 500 to 599 speaks against its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerErrors {
    /// No: they are answers like any other.
    Ignored,
    /// They lower its success rate.
    Rate,
    /// They lower its success rate, and those in a row eject it as other failures do.
    Always,
}

/// When a backend is ejected, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierRules {
    /// Failures in a row that eject; 0: never.
    pub consecutive_failures: u32,
    /// Whether answers 500 to 599 count.
    pub server_errors: ServerErrors,
    /// A share of successes below this ejects, in percent; 0: never.
    pub min_success_percent: u32,
    /// What the success rate is taken over, in seconds.
    pub window_secs: u32,
    /// Requests within the window below which the success rate says nothing.
    pub min_requests: u64,
    /// How long the first ejection lasts; each further one twice as long as the one before. One that is not followed by
    /// another within the window is forgotten.
    pub first_ejection_ns: u64,
    /// No ejection lasts longer.
    pub longest_ejection_ns: u64,
    /// No judgement may bring the ejected to more than this share of those that could take requests, in percent.
    pub max_ejected_percent: u32,
    /// With less than this share left of those that could take requests, judgements are ignored, in percent; 0: never.
    pub panic_percent: u32,
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            server_errors: ServerErrors::Rate,
            min_success_percent: 50,
            window_secs: 10,
            min_requests: 20,
            first_ejection_ns: 1_000_000_000,
            longest_ejection_ns: 30_000_000_000,
            max_ejected_percent: 50,
            panic_percent: 50,
        }
    }
}

impl OutlierRules {
    /// Whether one more of `count` backends may be ejected on a judgement when `ejected` are.
    pub(super) fn may_eject(&self, ejected: usize, count: usize) -> bool {
        (ejected as u64 + 1) * 100 <= count as u64 * u64::from(self.max_ejected_percent)
    }

    /// Whether so few of `count` backends are left that judgements are not to be trusted.
    pub(super) fn is_panic(&self, ejected: usize, count: usize) -> bool {
        (count.saturating_sub(ejected)) as u64 * 100 < count as u64 * u64::from(self.panic_percent)
    }

    /// Whether `own` is an outlier among the rest of the pool.
    pub(super) fn is_outlier(&self, own: Tally, others: Tally) -> bool {
        let bad = |tally: Tally| tally.is_below(self.min_success_percent);
        own.requests >= self.min_requests && bad(own) && !bad(others)
    }

    fn ejection_ns(&self, earlier: u32) -> u64 {
        let factor = 1u64.checked_shl(earlier).unwrap_or(u64::MAX);
        self.first_ejection_ns.saturating_mul(factor).min(self.longest_ejection_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(requests: u64, failures: u64) -> Tally {
        Tally { requests, failures }
    }

    #[test]
    fn an_outlier_has_enough_requests_fails_and_is_alone_in_it() {
        let rules = OutlierRules::default();
        assert!(rules.is_outlier(tally(20, 11), tally(40, 0)));
        assert!(rules.is_outlier(tally(20, 20), tally(0, 0)), "of others that do nothing nothing is known");
        assert!(!rules.is_outlier(tally(20, 10), tally(40, 0)), "half is enough");
        assert!(!rules.is_outlier(tally(19, 19), tally(40, 0)), "too few to tell");
        assert!(!rules.is_outlier(tally(20, 20), tally(40, 30)), "all fail alike");
        let never = OutlierRules { min_success_percent: 0, ..rules };
        assert!(!never.is_outlier(tally(20, 20), tally(40, 0)));
    }

    #[test]
    fn at_most_half_by_default_and_panic_below_half() {
        let rules = OutlierRules::default();
        let most = |count| (0..=count).take_while(|ejected| rules.may_eject(*ejected, count)).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 10].map(most), [0, 0, 1, 1, 2, 2, 5]);
        assert_eq!([0, 1, 2, 3, 4].map(|ejected| rules.is_panic(ejected, 4)), [false, false, false, true, true]);
        assert!(!rules.is_panic(0, 0));
    }

    proptest! {
        #[test]
        fn what_may_be_ejected_is_never_a_panic(count in 1usize..1000, ejected in 0usize..1000) {
            let rules = OutlierRules::default();
            prop_assert!(!rules.may_eject(ejected, count) || !rules.is_panic(ejected + 1, count));
        }

        #[test]
        fn ejections_grow_to_the_longest(first in 1u64..100_000_000_000, longest in 1u64..100_000_000_000, earlier: u32) {
            let rules = OutlierRules { first_ejection_ns: first, longest_ejection_ns: longest, ..OutlierRules::default() };
            let (this, next) = (rules.ejection_ns(earlier), rules.ejection_ns(earlier.saturating_add(1)));
            prop_assert!(this <= next && next <= longest && this >= first.min(longest));
        }
    }
}
