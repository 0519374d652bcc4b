//! What this data plane may count on of limits that hold for all data planes together.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use crate::clock::Nanos;

/// Who refills a bucket, and whether its tokens may be used. Three bits of a slot's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// This data plane alone, for itself: the limit is its own.
    #[default]
    Local = 0,
    /// This data plane holds the whole bucket and refills it.
    Whole,
    /// It holds some tokens; the ledger refills.
    Part,
    /// As [`Self::Part`], and more are asked for.
    Low,
    /// Nothing has been heard of the client yet: its tokens are the standing share, for when the ledger is silent.
    Asked,
    /// As [`Self::Part`], and there are no more for now.
    Dry,
    /// It is known to be free: the next request begins anew.
    Free,
    /// As [`Self::Whole`], and requests were refused.
    Wanted,
}

impl Mode {
    const ALL: [Self; 8] =
        [Self::Local, Self::Whole, Self::Part, Self::Low, Self::Asked, Self::Dry, Self::Free, Self::Wanted];

    /// Whether this data plane refills the bucket.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::Wanted)
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self::ALL.get(usize::from(bits)).copied().unwrap_or_default()
    }
}

/// What counts now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Until then the ledger's word holds: whole buckets are refilled here, parts by the ledger.
    pub valid_until: Nanos,
    /// From then on nobody else refills: this data plane makes its share of tokens itself.
    pub alone_from: Nanos,
    /// When a client was last forgotten here that no ledger has heard of: of who is known not to be free nothing from before
    /// is left.
    pub forgot_at: Nanos,
    /// This data plane's standing share of every limit, 0 to 1.
    pub share: f64,
    /// The part of every limit that is not set aside for data planes that were lost.
    pub factor: f64,
}

impl Terms {
    /// A data plane that no ledger knows.
    pub const NONE: Self =
        Self { valid_until: Nanos(0), alone_from: Nanos(u64::MAX), forgot_at: Nanos(0), share: 0.0, factor: 1.0 };

    /// Whether the ledger's word holds.
    pub fn are_valid(&self, now: Nanos) -> bool {
        now <= self.valid_until
    }
}

/// The current terms, for any thread to read. One thread writes.
#[derive(Debug)]
pub(super) struct TermsCell {
    valid_until: AtomicU64,
    alone_from: AtomicU64,
    forgot_at: AtomicU64,
    share: AtomicU64,
    factor: AtomicU64,
}

impl Default for TermsCell {
    fn default() -> Self {
        let Terms { valid_until, alone_from, forgot_at, share, factor } = Terms::NONE;
        Self {
            valid_until: valid_until.0.into(),
            alone_from: alone_from.0.into(),
            forgot_at: forgot_at.0.into(),
            share: share.to_bits().into(),
            factor: factor.to_bits().into(),
        }
    }
}

impl TermsCell {
    pub(super) fn load(&self) -> Terms {
        Terms {
            valid_until: Nanos(self.valid_until.load(Acquire)),
            alone_from: Nanos(self.alone_from.load(Acquire)),
            forgot_at: Nanos(self.forgot_at.load(Acquire)),
            share: f64::from_bits(self.share.load(Acquire)),
            factor: f64::from_bits(self.factor.load(Acquire)),
        }
    }

    pub(super) fn store(&self, terms: Terms) {
        // A reader between the stores must not count on more than it may: what shrinks is stored first, and a lease
        // that goes on, last.
        self.forgot_at.store(terms.forgot_at.0, Release);
        self.share.store(terms.share.to_bits(), Release);
        self.factor.store(terms.factor.to_bits(), Release);
        self.alone_from.store(terms.alone_from.0, Release);
        self.valid_until.store(terms.valid_until.0, Release);
    }
}
