//! A limit: the numbers of a token bucket.

/// A burst of `capacity` requests, refilled at `rate_per_sec`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    capacity: f64,
    rate_per_sec: f64,
}

/// For whom a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitScope {
    /// For this data plane alone.
    #[default]
    Local,
    /// For all data planes together.
    Global,
}

/// Numbers that make no bucket.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("capacity {capacity} must be finite and at least 1, rate_per_sec {rate_per_sec} finite and at least 0")]
pub struct InvalidLimit {
    capacity: f64,
    rate_per_sec: f64,
}

impl Limit {
    /// Accepts a finite capacity of at least 1 and a finite rate of at least 0 (0: the burst never refills).
    pub fn new(capacity: f64, rate_per_sec: f64) -> Result<Self, InvalidLimit> {
        let valid = capacity.is_finite() && capacity >= 1.0 && rate_per_sec.is_finite() && rate_per_sec >= 0.0;
        if valid { Ok(Self { capacity, rate_per_sec }) } else { Err(InvalidLimit { capacity, rate_per_sec }) }
    }

    /// Tokens the bucket holds, in requests.
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Tokens added per second.
    pub fn rate_per_sec(&self) -> f64 {
        self.rate_per_sec
    }
}
