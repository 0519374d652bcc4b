//! What an operator can set about requests.

use std::time::Duration;

use crate::pool::PoolRules;

/// Time-outs and switches of the request path.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Until a backend has accepted a connection, all its addresses together.
    pub connect_timeout: Duration,
    /// From the last byte of the request to the first of the answer's head.
    pub response_timeout: Duration,
    /// Between two parts of an answer's body.
    pub backend_idle_timeout: Duration,
    /// How long a tunnel may carry nothing in either direction.
    pub tunnel_idle_timeout: Duration,
    /// For a client to send the head of a request.
    pub header_timeout: Duration,
    /// For a client to begin the next request on its connection.
    pub keep_alive_timeout: Duration,
    /// Between two parts of a request's body, and for a client to take a part of its answer.
    pub client_idle_timeout: Duration,
    /// How long an unused connection to a backend is kept.
    pub upstream_idle_timeout: Duration,
    /// Unused connections kept to one backend, per thread.
    pub upstream_idle_max: usize,
    /// When backends are avoided, and what one may be asked to do.
    pub pool: PoolRules,
    /// How long a request may wait for a backend with room, where `pool` bounds that.
    pub queue_timeout: Duration,
    /// How long a request waits for the ledger before the standing share decides.
    pub lease_wait: Duration,
    /// One log line per request.
    pub access_log: bool,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(30),
            backend_idle_timeout: Duration::from_secs(60),
            tunnel_idle_timeout: Duration::from_secs(3600),
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            client_idle_timeout: Duration::from_secs(30),
            upstream_idle_timeout: Duration::from_secs(30),
            upstream_idle_max: 128,
            pool: PoolRules::default(),
            queue_timeout: Duration::from_secs(1),
            lease_wait: Duration::from_millis(20),
            access_log: false,
        }
    }
}
