//! What an operator can set about the choice of backends.

use super::outlier::OutlierRules;

/// What a backend may be asked to do, and when it is avoided. The same for all backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRules {
    /// When a backend that fails is avoided.
    pub outlier: OutlierRules,
    /// Over how long a backend that is new or comes back gets its full share; 0: at once.
    pub slow_start_ns: u64,
    /// Requests one backend may have in flight from this data plane; 0: any number.
    pub max_in_flight: u32,
}
