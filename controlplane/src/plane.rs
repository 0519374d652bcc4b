//! What everything that answers callers shares.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    authority::Authority,
    health::HealthBook,
    hub::Hub,
    keeper::Keeper,
    metrics::Metrics,
    probe::Probe,
    replicas::Replicas,
    store::{Store, StoreError},
};

/// A running control plane.
#[derive(Clone)]
pub(crate) struct Plane {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) book: Arc<HealthBook>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) probe: Arc<Probe>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) keeper: Keeper,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) started: Instant,
    pub(crate) heartbeat: Duration,
    pub(crate) shutdown: CancellationToken,
}

impl Plane {
    /// Passes a result of the store on, counting what is the database's fault.
    pub(crate) fn counted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| self.metrics.database_error(error))
    }
}
