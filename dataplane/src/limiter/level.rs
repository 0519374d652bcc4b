//! The arithmetic of one bucket.

use super::{
    Decision,
    terms::{Mode, Terms},
};
use crate::{clock::Nanos, limit::Limit};

/// Tokens by which a bucket may miss a whole one and still give it: far above what rounding costs, far below a request.
/// What is given is owed (tokens may go down to `-SLACK`), so it never adds up.
const SLACK: f64 = 1e-9;

const NANOS_PER_SEC: f64 = 1e9;

/// What a bucket holds: tokens, at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// Tokens in the bucket, in requests.
    pub(super) tokens: f64,
    /// When there were that many.
    pub(super) at: Nanos,
    /// Who refills it.
    pub(super) mode: Mode,
}

/// Bits of a packed time that hold the mode: times are multiples of 8 ns.
const MODE_BITS: u64 = 0b111;

impl Level {
    /// A new bucket.
    pub(super) fn full(limit: &Limit, now: Nanos) -> Self {
        Self { tokens: limit.capacity(), at: coarse(now), mode: Mode::Local }
    }

    /// What it holds at `now`; time before its own does not count.
    pub(super) fn refilled(self, limit: &Limit, now: Nanos) -> Self {
        let now = coarse(now);
        let gained = now.since(self.at) as f64 * limit.rate_per_sec() / NANOS_PER_SEC;
        Self { tokens: (self.tokens + gained).min(limit.capacity()), at: self.at.max(now), ..self }
    }

    /// As [`Self::refilled`], by whoever refills it.
    pub(super) fn settled(self, limit: &Limit, terms: &Terms, now: Nanos) -> Self {
        if self.mode == Mode::Local {
            return self.refilled(limit, now);
        }
        let now = coarse(now);
        let mut tokens = self.tokens.min(limit.capacity());
        if self.mode.is_whole() {
            let gained = now.min(terms.valid_until).since(self.at) as f64 * limit.rate_per_sec() * terms.factor;
            tokens = (tokens + gained / NANOS_PER_SEC).min(limit.capacity() * terms.factor);
        }
        if !terms.are_valid(now) {
            tokens = tokens.min(limit.capacity() * terms.share);
        }
        if now > terms.alone_from {
            let gained = now.since(self.at.max(terms.alone_from)) as f64 * limit.rate_per_sec() * terms.share;
            tokens = (tokens + gained / NANOS_PER_SEC).min(limit.capacity() * terms.share);
        }
        Self { tokens, at: self.at.max(now), ..self }
    }

    /// The same with other tokens and another mode, later than before: no state recurs.
    pub(super) fn changed(self, tokens: f64, mode: Mode) -> Self {
        Self { tokens, at: self.at.plus(MODE_BITS + 1), mode }
    }

    /// What is left when one token is taken; `None`: there is none to take.
    pub(super) fn taken(self) -> Option<Self> {
        (self.tokens >= 1.0 - SLACK).then_some(Self { tokens: self.tokens - 1.0, ..self })
    }

    /// When it will be full. The end of time, if never.
    pub(super) fn full_at(self, limit: &Limit) -> Nanos {
        self.nanos_to(limit.capacity(), limit).map_or(Nanos(u64::MAX), |nanos| self.at.plus(nanos))
    }

    /// Later than [`Self::full_at`] by an eighth of the burst, at least a token: what is written down when it must be
    /// written, so that the next takes need not write it again.
    pub(super) fn full_at_with_margin(self, limit: &Limit) -> Nanos {
        let margin = (limit.capacity() / 8.0).max(1.0);
        Self { tokens: self.tokens - margin, ..self }.full_at(limit)
    }

    /// The decision that left this level at `now`.
    pub(super) fn decision(self, admitted: bool, limit: &Limit, now: Nanos) -> Decision {
        let from_now = |nanos: u64| nanos.saturating_add(self.at.since(now));
        Decision {
            admitted,
            remaining: self.remaining(),
            wait: if admitted { None } else { self.nanos_to(1.0, limit).map(from_now) },
            reset: self.nanos_to(limit.capacity(), limit).map(from_now),
        }
    }

    /// The level as one word. Time stands above the tokens; see invariant 2 of the table.
    pub(super) fn pack(self) -> u128 {
        let time = (self.at.0 & !MODE_BITS) | self.mode as u64;
        u128::from(time) << 64 | u128::from(self.tokens.to_bits())
    }

    /// The inverse of [`Self::pack`].
    pub(super) fn unpack(word: u128) -> Self {
        let time = (word >> 64) as u64;
        let mode = Mode::from_bits((time & MODE_BITS) as u8);
        Self { tokens: f64::from_bits(word as u64), at: Nanos(time & !MODE_BITS), mode }
    }

    /// Tokens for people: a whole number that rounding missed by less than [`SLACK`] is that number.
    fn remaining(self) -> f64 {
        let whole = (self.tokens + SLACK) as u64 as f64;
        if (self.tokens - whole).abs() <= SLACK { whole } else { self.tokens }
    }

    /// Nanoseconds, rounded up, until it holds `tokens`; `None`: never.
    fn nanos_to(self, tokens: f64, limit: &Limit) -> Option<u64> {
        let missing = tokens - self.tokens;
        if missing <= 0.0 {
            return Some(0);
        }
        (limit.rate_per_sec() > 0.0).then(|| to_tick(rounded_up(missing / limit.rate_per_sec() * NANOS_PER_SEC)))
    }
}

/// The clock of buckets ticks every 8 ns.
fn coarse(now: Nanos) -> Nanos {
    Nanos(now.0 & !MODE_BITS)
}

/// Rounded up to a whole tick, or the end of time.
fn to_tick(nanos: u64) -> u64 {
    nanos.checked_next_multiple_of(MODE_BITS + 1).unwrap_or(u64::MAX)
}

/// Rounded up, at most `u64::MAX`. Not `f64::ceil`: that is a call into the C library on plain x86-64.
fn rounded_up(number: f64) -> u64 {
    let down = number as u64;
    down.saturating_add(u64::from((down as f64) < number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(capacity: f64, rate: f64) -> Limit {
        Limit::new(capacity, rate).unwrap()
    }

    #[test]
    fn a_token_is_there_when_it_is_due() {
        for rate in [0.1, 0.3, 0.7, 1.0 / 3.0, 3.0, 7.0, 1e6] {
            let limit = limit(1.0, rate);
            let empty = Level { tokens: 0.0, at: Nanos(12_345_678_904), mode: Mode::Local };
            let wait = empty.decision(false, &limit, empty.at).wait.unwrap();
            assert!(empty.refilled(&limit, empty.at.plus(wait)).taken().is_some(), "{rate}");
        }
        let empty = Level { tokens: 0.0, at: Nanos(0), mode: Mode::Local };
        assert!(empty.refilled(&limit(5.0, 0.1), Nanos(10_000_000_000)).taken().is_some());
        assert!(empty.refilled(&limit(5.0, 0.1), Nanos(9_999_999_000)).taken().is_none());
    }

    #[test]
    fn what_slack_gives_is_owed() {
        let level = Level { tokens: 1.0 - SLACK / 2.0, at: Nanos(0), mode: Mode::Local };
        let taken = level.taken().unwrap();
        assert!(taken.tokens < 0.0);
        assert_eq!(taken.remaining(), 0.0);
    }

    #[test]
    fn rate_zero_never_refills() {
        let limit = limit(2.0, 0.0);
        let level = Level { tokens: 0.5, at: Nanos(1), mode: Mode::Local };
        assert_eq!(level.refilled(&limit, Nanos(u64::MAX)).tokens, 0.5);
        let decision = level.decision(false, &limit, Nanos(1));
        assert_eq!((decision.wait, decision.reset), (None, None));
        assert_eq!(level.full_at(&limit), Nanos(u64::MAX));
    }

    #[test]
    fn packing_is_reversible_and_ordered_by_time() {
        let level = Level { tokens: 3.25, at: Nanos(80), mode: Mode::Dry };
        assert_eq!(Level::unpack(level.pack()), level);
        assert!(Level { tokens: 0.0, at: Nanos(88), mode: Mode::Local }.pack() > level.pack());
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        let limit = limit(f64::MAX, f64::MAX);
        let level = Level { tokens: 0.0, at: Nanos(0), mode: Mode::Local }.refilled(&limit, Nanos(u64::MAX));
        assert_eq!(level.tokens, f64::MAX);
        assert_eq!(
            Level { tokens: 0.0, at: Nanos(5), mode: Mode::Local }.full_at(&self::limit(1e300, 1e-300)),
            Nanos(u64::MAX)
        );
    }

    #[test]
    fn who_refills_depends_on_the_mode_and_on_the_terms() {
        let limit = limit(12.0, 1.0);
        let second = |n: u64| Nanos(n * 1_000_000_000);
        let terms = Terms { valid_until: second(10), alone_from: second(20), share: 0.25, factor: 0.5, ..Terms::NONE };
        let held = |mode, now| Level { tokens: 1.0, at: second(0), mode }.settled(&limit, &terms, second(now)).tokens;
        assert_eq!([4, 10].map(|now| held(Mode::Whole, now)), [3.0, 6.0]);
        assert_eq!([4, 10].map(|now| held(Mode::Part, now)), [1.0, 1.0]);
        // Then it falls to the share, and grows by it once nobody else refills.
        assert_eq!([11, 20, 24].map(|now| held(Mode::Whole, now)), [3.0, 3.0, 3.0]);
        assert_eq!([11, 20, 24, 99].map(|now| held(Mode::Part, now)), [1.0, 1.0, 2.0, 3.0]);
    }
}
