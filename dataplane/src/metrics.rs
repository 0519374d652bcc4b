//! All metrics of the data plane: typed handles, counted without a lock and summed up when they are scraped.

mod histogram;
mod page;
mod requests;
mod scrape;
mod striped;
mod sync;

pub use histogram::DurationHistogram;
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
    /// The saved snapshot.
    pub state_file: StateFileMetrics,
}

/// Clients' connections, and tunnels made of them.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    counts: Striped<3>,
}

const ACCEPTED: usize = 0;
const CLOSED: usize = 1;
const TUNNELS: usize = 2;

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
