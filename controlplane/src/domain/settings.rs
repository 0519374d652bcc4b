//! Settings that hold for every data plane.

use ipnet::IpNet;

use super::{BackendCa, Limit};

/// What holds for a client without a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultLimit {
    /// This bucket, one per client.
    Limited(Limit),
    /// No limit.
    Unlimited,
}

/// How the backend of a request is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight per weight.
    LeastConnections,
    /// The less loaded of two chosen at random.
    P2c,
    /// Weighted random.
    Random,
    /// By client, on a hash ring.
    ConsistentHash,
}

/// For whom a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// All data planes together admit what one bucket would.
    Global,
    /// Each data plane counts on its own.
    Local,
}

/// How the client of a request is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// Request header whose value names the client if a limit for it exists; `None`: no header does.
    pub header: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Prefix length by which IPv6 clients without a limit of their own share a bucket, 1 to 128.
    pub ipv6_prefix: u8,
}

/// Settings that hold for every data plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What holds for a client without a limit of its own.
    pub default_limit: DefaultLimit,
    /// How the backend of a request is chosen.
    pub strategy: Strategy,
    /// How the client of a request is found.
    pub client: ClientRules,
    /// By whom backends with `https://` must be certified; `None`: by the public authorities.
    pub backend_ca: Option<BackendCa>,
    /// For whom limits are counted.
    pub limit_scope: LimitScope,
}
