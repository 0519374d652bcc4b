//! All metrics of the data plane: typed handles, counted without a lock and summed up when they are scraped.

mod backends;
mod histogram;
mod lease;
mod page;
mod requests;
mod scrape;
mod striped;
mod sync;

pub use histogram::DurationHistogram;
pub use lease::LeaseMetrics;
pub use requests::{OwnAnswer, RequestMetrics};
pub use striped::Striped;
pub use sync::{StateFileMetrics, SyncMetrics};

pub(crate) use scrape::Scrape;

/// Every counter of the plane that is not derived from the snapshot, the bucket table or a backend.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests, and what became of them.
    pub requests: RequestMetrics,
    /// Clients' connections.
    pub connections: ConnectionMetrics,
    /// The stream to the control plane.
    pub sync: SyncMetrics,
    /// Tokens that data planes share.
    pub lease: LeaseMetrics,
    /// The saved snapshot.
    pub state_file: StateFileMetrics,
}

/// Clients' connections, and tunnels made of them.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    counts: Striped<{ REFUSED + RefusedConnection::ALL.len() }>,
}

const ACCEPTED: usize = 0;
const CLOSED: usize = 1;
const TUNNELS: usize = 2;
/// The first of as many as there are reasons.
const REFUSED: usize = 3;

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedConnection {
    /// There are too many.
    TooMany,
    /// There are too many from its address.
    TooManyOfClient,
    /// It came from somebody who may not send a PROXY protocol header, or with a bad one, or without one in time.
    ProxyProtocol,
}

impl RefusedConnection {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::TooMany, Self::TooManyOfClient, Self::ProxyProtocol];

    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooMany => "max_connections",
            Self::TooManyOfClient => "max_connections_per_client",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

impl ConnectionMetrics {
    /// Counts a connection that was accepted.
    pub fn accepted(&self) {
        self.counts.add(ACCEPTED, 1);
    }

    /// Counts the end of a connection that was accepted.
    pub fn closed(&self) {
        self.counts.add(CLOSED, 1);
    }

    /// Counts a request that became a tunnel (an upgrade).
    pub fn tunnel(&self) {
        self.counts.add(TUNNELS, 1);
    }

    /// Counts an accepted connection that is not served.
    pub fn refused(&self, why: RefusedConnection) {
        self.counts.add(REFUSED + why as usize, 1);
    }

    /// Accepted connections that were not served for this reason.
    pub fn refused_total(&self, why: RefusedConnection) -> u64 {
        self.counts.sum(REFUSED + why as usize)
    }

    /// Connections accepted since the start.
    pub fn accepted_total(&self) -> u64 {
        self.counts.sum(ACCEPTED)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        // Read `closed` first: a connection that ends in between must not make the difference negative.
        let closed = self.counts.sum(CLOSED);
        self.counts.sum(ACCEPTED).saturating_sub(closed)
    }

    /// Tunnels made since the start.
    pub fn tunnels_total(&self) -> u64 {
        self.counts.sum(TUNNELS)
    }
}
