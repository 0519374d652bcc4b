//! The data planes connected to this control plane.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use balancer_proto::v1::ReplicaReport;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// What is known of one data plane.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) version: String,
    /// Last revision acknowledged, or named when the stream began; 0: none.
    pub(crate) revision: u64,
    pub(crate) connected: Instant,
    pub(crate) last_seen: Instant,
    /// Why it refused the last update; empty if it did not.
    pub(crate) last_refusal: String,
    pub(crate) report: Option<ReplicaReport>,
}

/// The id of a data plane, and which of its streams: an old one may end after a new one has begun, and two data planes
/// may have one id until one of them takes another.
type Seat = (String, u64);

/// All data planes with a stream.
pub(crate) struct Replicas {
    seats: Mutex<BTreeMap<Seat, Replica>>,
    streams: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Replicas {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { seats: Mutex::default(), streams: AtomicU64::new(0), metrics }
    }

    /// Enters a data plane, which says that it holds `revision`, for as long as the answer lives.
    pub(crate) fn join(self: &Arc<Self>, id: String, version: String, revision: u64) -> Membership {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let replica =
            Replica { version, revision, connected: now, last_seen: now, last_refusal: String::new(), report: None };
        let seat = (id, stream);
        let mut seats = self.lock();
        seats.insert(seat.clone(), replica);
        self.metrics.replicas(count(&seats));
        self.metrics.replica_revision(&seat.0, revision);
        drop(seats);
        Membership { replicas: self.clone(), seat }
    }

    /// Everyone, ordered by id: what is known from the newest stream of each.
    pub(crate) fn all(&self) -> BTreeMap<String, Replica> {
        self.lock().iter().map(|((id, _), replica)| (id.clone(), replica.clone())).collect()
    }

    // A poisoned map is whole: its entries change one field at a time.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Seat, Replica>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A data plane's entry; dropping it strikes the entry out.
pub(crate) struct Membership {
    replicas: Arc<Replicas>,
    seat: Seat,
}

impl Membership {
    /// The data plane's id.
    pub(crate) fn id(&self) -> &str {
        &self.seat.0
    }

    /// A message of any kind came.
    pub(crate) fn seen(&self) {
        self.update(|replica| replica.last_seen = Instant::now());
    }

    /// A step was applied.
    pub(crate) fn acknowledged(&self, revision: u64) {
        self.replicas.metrics.replica_revision(self.id(), revision);
        self.update(|replica| {
            replica.revision = revision;
            replica.last_refusal.clear();
        });
    }

    /// A step was refused.
    pub(crate) fn refused(&self, reason: String) {
        self.update(|replica| replica.last_refusal = reason);
    }

    /// Figures came.
    pub(crate) fn reported(&self, report: ReplicaReport) {
        self.update(|replica| replica.report = Some(report));
    }

    fn update(&self, change: impl FnOnce(&mut Replica)) {
        if let Some(replica) = self.replicas.lock().get_mut(&self.seat) {
            change(replica);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut seats = self.replicas.lock();
        seats.remove(&self.seat);
        if !seats.keys().any(|(id, _)| id == self.id()) {
            self.replicas.metrics.replica_gone(self.id());
        }
        self.replicas.metrics.replicas(count(&seats));
    }
}

/// Data planes, however many streams they have.
fn count(seats: &BTreeMap<Seat, Replica>) -> usize {
    let mut ids: Vec<_> = seats.keys().map(|(id, _)| id).collect();
    ids.dedup();
    ids.len()
}
