//! Turns the plane's state into OpenMetrics when somebody asks; nothing is kept twice for it.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{OwnAnswer, RefusedConnection, backends::backends, page::Page};
use crate::{
    clock::{self, Nanos},
    limiter::LimitKind,
    shared::Shared,
    snapshot::Snapshot,
};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Reads the plane's state at each scrape. Holds it weakly: a registry must not keep a stopped plane alive.
pub(crate) struct Scrape(Weak<Shared>);

impl Scrape {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let Some(shared) = self.0.upgrade() else { return Ok(()) };
        let mut page = Page::new(encoder);
        requests(&mut page, &shared)?;
        connections(&mut page, &shared)?;
        buckets(&mut page, &shared)?;
        lease(&mut page, &shared)?;
        sync(&mut page, &shared)?;
        match &*shared.snapshot.load() {
            Some(held) => snapshot(&mut page, held),
            None => Ok(()),
        }
    }
}

fn requests(page: &mut Page, shared: &Shared) -> fmt::Result {
    let metrics = &shared.metrics.requests;
    let answers = metrics.answers().into_iter().zip(CLASSES);
    let refused = [(LimitKind::Default, "default"), (LimitKind::Client, "client")];
    page.counters("requests", "Requests answered, by status class", "class", answers.map(|(n, class)| (class, n)))?;
    page.gauge("requests_in_flight", "Requests being served now", metrics.in_flight() as f64)?;
    page.counters(
        "requests_refused",
        "Requests refused over a limit, by whose limit it was",
        "limit",
        refused.map(|(kind, label)| (label, metrics.refused_total(kind))),
    )?;
    page.counters(
        "own_answers",
        "Answers Balancer made itself, by reason",
        "reason",
        OwnAnswer::ALL.map(|reason| (reason.label(), metrics.own_answers_total(reason))),
    )?;
    page.counter("retries", "Tries of a request beyond its first", metrics.retries_total())?;
    page.gauge("queue_waiting", "Requests waiting for a backend with room", shared.queue.waiting() as f64)?;
    page.counter("queue_waited", "Requests that had to wait for a backend with room", shared.queue.waited_total())?;
    page.histogram("request_duration_seconds", "From a request's head to its answer's head", metrics.latency())
}

fn lease(page: &mut Page, shared: &Shared) -> fmt::Result {
    let (lease, tallies) = (&shared.metrics.lease, shared.metrics.lease.tallies());
    let valid = shared.buckets.terms().are_valid(clock::now());
    page.counter("lease_asks", "Times the ledger was asked for a client's tokens", tallies.asks)?;
    page.counter("lease_grants", "Grants of tokens received", tallies.grants)?;
    page.counter("lease_refusals", "Answers that there are none for now", tallies.refusals)?;
    page.counter("lease_recalls", "Clients whose tokens other data planes wanted too", tallies.recalls)?;
    page.counter("lease_returns", "Times tokens were given back", tallies.returns)?;
    page.histogram("lease_wait_seconds", "Waits of requests for tokens, of those that waited", lease.waits())?;
    page.gauge("lease_clients", "Clients that are known to be in use somewhere", lease.clients() as f64)?;
    page.gauge("lease_whole", "Clients whose whole bucket is held here", lease.whole() as f64)?;
    page.gauge("lease_valid", "1 while the ledger's word holds", f64::from(valid))?;
    page.gauge("lease_epoch", "Epoch of the ledger last spoken to", lease.epoch() as f64)?;
    page.amount(
        "lease_alone_seconds",
        "Time without a ledger, in which the standing share decides",
        lease.alone_seconds(),
    )
}

fn connections(page: &mut Page, shared: &Shared) -> fmt::Result {
    let metrics = &shared.metrics.connections;
    page.counter("connections_accepted", "Connections accepted from clients", metrics.accepted_total())?;
    page.counters(
        "connections_refused",
        "Connections accepted but not served, by reason",
        "reason",
        RefusedConnection::ALL.map(|why| (why.label(), metrics.refused_total(why))),
    )?;
    page.gauge("connections_open", "Connections of clients open now", metrics.open() as f64)?;
    page.counter("tunnels", "Requests that became a tunnel", metrics.tunnels_total())
}

fn buckets(page: &mut Page, shared: &Shared) -> fmt::Result {
    let buckets = &shared.buckets;
    page.gauge("buckets", "Client buckets held", buckets.len() as f64)?;
    page.gauge("buckets_max", "Client buckets there is room for", buckets.max_clients() as f64)?;
    page.gauge("buckets_bytes", "Memory set aside for client buckets", buckets.bytes() as f64)?;
    page.counter("bucket_evictions", "Client buckets evicted before they were full", buckets.evictions())
}

fn sync(page: &mut Page, shared: &Shared) -> fmt::Result {
    let (sync, file) = (&shared.metrics.sync, &shared.metrics.state_file);
    page.gauge("sync_connected", "1 while a stream to a control plane stands", f64::from(sync.is_connected()))?;
    page.gauge(
        "sync_silence_seconds",
        "Since the control plane last said anything, or since the start",
        seconds_since(sync.last_message()),
    )?;
    page.counter("sync_streams", "Streams to a control plane that stood", sync.streams_total())?;
    page.counter("sync_failures", "Streams lost and attempts that failed", sync.failures_total())?;
    page.counter("sync_acks", "Configuration steps applied", sync.acks_total())?;
    page.counter("sync_nacks", "Configuration steps refused", sync.nacks_total())?;
    page.counter("state_file_saves", "Times the snapshot was saved", file.saves_total())?;
    page.counter("state_file_errors", "Times the snapshot could not be saved", file.errors_total())
}

fn snapshot(page: &mut Page, snapshot: &Snapshot) -> fmt::Result {
    page.gauge("snapshot_revision", "Configuration revision being served", snapshot.revision as f64)?;
    page.gauge(
        "snapshot_age_seconds",
        "Since this revision was applied or loaded",
        seconds_since(snapshot.applied_at),
    )?;
    page.gauge("snapshot_limits", "Clients with a limit of their own", snapshot.limits.len() as f64)?;
    backends(page, &snapshot.pool)
}

fn seconds_since(earlier: Nanos) -> f64 {
    clock::now().since(earlier) as f64 / Nanos::SECOND.0 as f64
}
