//! Requests: how many, how long, and what became of them.

use super::{DurationHistogram, Striped};
use crate::{limiter::LimitKind, traffic::class_index};

/// Why Balancer answered a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnAnswer {
    /// No snapshot yet.
    NoSnapshot,
    /// No backend may take requests.
    NoBackend,
    /// No backend could be connected to.
    ConnectFailed,
    /// The backend broke off or answered what is not HTTP.
    BadGateway,
    /// The backend was too slow.
    Timeout,
    /// The request is not one that may be forwarded.
    BadRequest,
    /// The client was too slow in sending its request.
    RequestTimeout,
    /// The client is over its limit.
    OverLimit,
    /// Balancer itself is at the end of its means, e.g. too many connections.
    Overloaded,
    /// There are too many connections, in all or from the client's address.
    TooManyConnections,
}

impl OwnAnswer {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 10] = [
        Self::NoSnapshot,
        Self::NoBackend,
        Self::ConnectFailed,
        Self::BadGateway,
        Self::Timeout,
        Self::BadRequest,
        Self::RequestTimeout,
        Self::OverLimit,
        Self::Overloaded,
        Self::TooManyConnections,
    ];

    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoSnapshot => "no_snapshot",
            Self::NoBackend => "no_backend",
            Self::ConnectFailed => "connect_failed",
            Self::BadGateway => "bad_gateway",
            Self::Timeout => "timeout",
            Self::BadRequest => "bad_request",
            Self::RequestTimeout => "request_timeout",
            Self::OverLimit => "over_limit",
            Self::Overloaded => "overloaded",
            Self::TooManyConnections => "too_many_connections",
        }
    }
}

const STARTED: usize = 5;
const ENDED: usize = 6;
const REFUSED_DEFAULT: usize = 7;
const REFUSED_CLIENT: usize = 8;
const RETRIES: usize = 9;

/// Counters of the request path.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    /// Answers by status class at 0 to 4, then the constants above.
    counts: Striped<10>,
    own: Striped<{ OwnAnswer::ALL.len() }>,
    latency: DurationHistogram,
}

impl RequestMetrics {
    /// A request begins; [`Self::ended`] must follow however it ends.
    pub fn started(&self) {
        self.counts.add(STARTED, 1);
    }

    /// A request that was started is over: answered, or given up by its client.
    pub fn ended(&self) {
        self.counts.add(ENDED, 1);
    }

    /// A request got its answer's head, `took_ns` nanoseconds after it began.
    pub fn answered(&self, status: u16, took_ns: u64) {
        self.counts.add(class_index(status), 1);
        self.latency.record(took_ns);
    }

    /// A request was refused over a limit of this kind.
    pub fn refused(&self, kind: LimitKind) {
        let index = match kind {
            LimitKind::Default => REFUSED_DEFAULT,
            LimitKind::Client => REFUSED_CLIENT,
        };
        self.counts.add(index, 1);
    }

    /// Balancer answered a request itself.
    pub fn own_answer(&self, reason: OwnAnswer) {
        self.own.add(reason as usize, 1);
    }

    /// A request is tried again on another backend.
    pub fn retried(&self) {
        self.counts.add(RETRIES, 1);
    }

    /// Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub fn answers(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.counts.sum(class))
    }

    /// Requests started since the process did.
    pub fn started_total(&self) -> u64 {
        self.counts.sum(STARTED)
    }

    /// Requests being served now.
    pub fn in_flight(&self) -> u64 {
        // Read `ended` first: a request that ends in between must not make the difference negative.
        let ended = self.counts.sum(ENDED);
        self.counts.sum(STARTED).saturating_sub(ended)
    }

    /// Requests refused over a limit of this kind.
    pub fn refused_total(&self, kind: LimitKind) -> u64 {
        self.counts.sum(match kind {
            LimitKind::Default => REFUSED_DEFAULT,
            LimitKind::Client => REFUSED_CLIENT,
        })
    }

    /// Answers Balancer made itself for this reason.
    pub fn own_answers_total(&self, reason: OwnAnswer) -> u64 {
        self.own.sum(reason as usize)
    }

    /// Tries beyond each request's first.
    pub fn retries_total(&self) -> u64 {
        self.counts.sum(RETRIES)
    }

    /// Time from a request's head to its answer's head.
    pub fn latency(&self) -> &DurationHistogram {
        &self.latency
    }
}
