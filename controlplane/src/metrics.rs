//! All metrics of the control plane. Names begin with `balancer_`; base units.

mod labels;
mod ledger;

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use self::{
    labels::{Backend, CheckResult, GrpcCall, Kind, Refusal, Replica, RestCall},
    ledger::LedgerMetrics,
};
use crate::{health::Health, hub::Image, ledger::Ledger, store::StoreError};

/// Content type of `/metrics`.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why a connection to the admin port was closed unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedConnection {
    /// The port has as many as it may have.
    TooMany,
    /// Its address has as many as one may have.
    TooManyOfAddress,
}

impl RefusedConnection {
    /// As metrics and the log call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::TooMany => "max_connections",
            Self::TooManyOfAddress => "max_connections_per_address",
        }
    }
}

/// Typed handles.
pub(crate) struct Metrics {
    grpc_calls: Family<GrpcCall, Counter>,
    rest_calls: Family<RestCall, Counter>,
    database_errors: Family<Kind, Counter>,
    database_up: Gauge,
    revision: Gauge,
    limits: Gauge,
    replicas: Gauge,
    replica_revision: Family<Replica, Gauge>,
    backend_healthy: Family<Backend, Gauge>,
    health_checks: Family<CheckResult, Counter>,
    pub(crate) steps: Counter,
    pub(crate) full_syncs: Counter,
    pub(crate) refusals: Counter,
    pub(crate) tls_failures: Counter,
    connections: Gauge,
    connections_refused: Family<Refusal, Counter>,
    ledger: LedgerMetrics,
}

impl Metrics {
    /// Registers everything in `registry`.
    pub(crate) fn new(registry: &mut Registry) -> Arc<Self> {
        let ledger = LedgerMetrics::new(registry);
        let r = registry.sub_registry_with_prefix("balancer_controlplane");
        r.register("build", "Version of the control plane", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let metrics = Self {
            grpc_calls: add(r, "grpc_calls", "gRPC calls by method and status code; streams count when they open"),
            rest_calls: add(r, "rest_calls", "HTTP calls that are not gRPC, by route and status code"),
            database_errors: add(r, "database_errors", "Errors of the database by kind"),
            database_up: add(r, "database_up", "1 while the database answers"),
            revision: add(r, "revision", "Configuration revision sent to data planes"),
            limits: add(r, "limits", "Clients with a limit of their own"),
            replicas: add(r, "replicas", "Data planes connected"),
            replica_revision: add(r, "replica_revision", "Revision a data plane acknowledged last"),
            backend_healthy: add(r, "backend_healthy", "1: healthy, 0: unhealthy"),
            health_checks: add(r, "health_checks", "Health checks by backend and result"),
            steps: add(r, "sync_steps", "Incremental configuration steps sent to data planes"),
            full_syncs: add(r, "full_syncs", "Whole configurations sent to data planes"),
            refusals: add(r, "sync_refusals", "Steps that data planes refused"),
            tls_failures: add(r, "tls_handshake_failures", "Connections to the admin port that got no TLS session"),
            connections: add(r, "connections", "Connections to the admin port that are open"),
            connections_refused: add(
                r,
                "connections_refused",
                "Connections to the admin port closed unused, by which cap was reached",
            ),
            ledger,
        };
        for why in [RefusedConnection::TooMany, RefusedConnection::TooManyOfAddress] {
            drop(metrics.connections_refused.get_or_create(&Refusal { reason: why.label() }));
        }
        Arc::new(metrics)
    }

    pub(crate) fn grpc_call(&self, method: &str, code: i32) {
        self.grpc_calls.get_or_create(&GrpcCall { method: method.to_owned(), code }).inc();
    }

    pub(crate) fn rest_call(&self, route: &str, status: u16) {
        self.rest_calls.get_or_create(&RestCall { route: route.to_owned(), status }).inc();
    }

    /// Counts errors that are the database's, not the caller's.
    pub(crate) fn database_error(&self, error: &StoreError) {
        let kind = match error {
            StoreError::AlreadyExists(_)
            | StoreError::NotFound(_)
            | StoreError::BackendInFile(_)
            | StoreError::Invalid(_) => return,
            StoreError::Unavailable(_) | StoreError::Refused(_) => "unavailable",
            StoreError::Full(_) => "full",
            _ => "internal",
        };
        self.database_errors.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.dec();
    }

    pub(crate) fn connection_refused(&self, why: RefusedConnection) {
        self.connections_refused.get_or_create(&Refusal { reason: why.label() }).inc();
    }

    pub(crate) fn database_up(&self, up: bool) {
        self.database_up.set(up.into());
    }

    pub(crate) fn configuration(&self, image: &Image) {
        self.revision.set(signed(image.revision));
        self.limits.set(signed(image.limits.len() as u64));
    }

    pub(crate) fn replicas(&self, connected: usize) {
        self.replicas.set(signed(connected as u64));
    }

    pub(crate) fn replica_revision(&self, replica: &str, revision: u64) {
        self.replica_revision.get_or_create(&Replica { replica: replica.to_owned() }).set(signed(revision));
    }

    pub(crate) fn replica_gone(&self, replica: &str) {
        self.replica_revision.remove(&Replica { replica: replica.to_owned() });
    }

    pub(crate) fn health_check(&self, backend: &str, success: bool, health: Health) {
        let result = if success { "success" } else { "failure" };
        self.health_checks.get_or_create(&CheckResult { backend: backend.to_owned(), result }).inc();
        let healthy = i64::from(health == Health::Healthy);
        self.backend_healthy.get_or_create(&Backend { backend: backend.to_owned() }).set(healthy);
    }

    /// How the ledger is that is kept here.
    pub(crate) fn ledger(&self, ledger: &Ledger) {
        self.ledger.show(ledger);
    }

    /// No ledger is kept here, or a new one.
    pub(crate) fn no_ledger(&self) {
        self.ledger.clear();
    }

    pub(crate) fn backend_gone(&self, backend: &str) {
        self.backend_healthy.remove(&Backend { backend: backend.to_owned() });
        for result in ["success", "failure"] {
            self.health_checks.remove(&CheckResult { backend: backend.to_owned(), result });
        }
    }
}

fn add<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Clone + Default + prometheus_client::registry::Metric,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

// Gauges are signed; nothing here comes near the difference.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
