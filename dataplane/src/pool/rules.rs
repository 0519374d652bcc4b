//! What an operator can set about the choice of backends.

use super::outlier::OutlierRules;

/// Of one backend, unless an operator says otherwise: HTTP/1.1 takes a connection for each, and HTTP/2 lets one client
/// ask for 128 at once on each of its own.
const MAX_IN_FLIGHT: u32 = 4096;

/// What a backend may be asked to do, and when it is avoided. The same for all backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRules {
    /// When a backend that fails is avoided.
    pub outlier: OutlierRules,
    /// Over how long a backend that is new or comes back gets its full share; 0: at once.
    pub slow_start_ns: u64,
    /// Requests and tunnels one backend may have in flight from this data plane; 0: any number.
    pub max_in_flight: u32,
}

impl Default for PoolRules {
    fn default() -> Self {
        Self { outlier: OutlierRules::default(), slow_start_ns: 0, max_in_flight: MAX_IN_FLIGHT }
    }
}
