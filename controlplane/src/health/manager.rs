//! Starts, restarts and stops the checks as backends come, change and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{
    Health, HealthBook, ask,
    check::{Outcome, check},
    judge::Judge,
};
use crate::{
    domain::{AdminState, Backend, BackendCa, BackendSpec, HealthCheck},
    hub::Hub,
    metrics::Metrics,
};

/// Runs the checks of all backends until `shutdown`. `interval` is the time between checks of those that do not say
/// their own.
pub(crate) async fn run(
    hub: Arc<Hub>,
    book: Arc<HealthBook>,
    metrics: Arc<Metrics>,
    mut interval: watch::Receiver<Duration>,
    shutdown: CancellationToken,
) {
    let mut image = hub.changed();
    let mut manager = Manager { book, metrics, tls: Tls::default(), running: BTreeMap::new(), tasks: JoinSet::new() };
    loop {
        let (backends, settings) = {
            let image = image.borrow_and_update();
            (image.backends.clone(), image.settings.clone())
        };
        let default = *interval.borrow_and_update();
        manager.tls.trust(settings.backend_ca.as_ref());
        manager.adjust(&backends, default);
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = image.changed() => if changed.is_err() { return },
            // Nobody can change the interval any more once its sender is gone.
            Ok(()) = interval.changed() => {}
        }
    }
}

/// A check that runs.
struct Running {
    spec: BackendSpec,
    /// A changed interval is no reason to begin judging anew: the check is told.
    interval: watch::Sender<Duration>,
    stop: CancellationToken,
}

struct Manager {
    book: Arc<HealthBook>,
    metrics: Arc<Metrics>,
    tls: Tls,
    running: BTreeMap<u64, Running>,
    /// Dropping it ends every check.
    tasks: JoinSet<()>,
}

/// TLS as all checks speak it.
#[derive(Default)]
struct Tls {
    /// `None`: nothing was set up yet.
    trusted: Option<Option<BackendCa>>,
    /// Whose first value comes before the first check.
    connector: watch::Sender<Option<TlsConnector>>,
}

impl Tls {
    /// From now on backends must be certified by `ca`. One connector for all: so sessions are resumed.
    fn trust(&mut self, ca: Option<&BackendCa>) {
        if self.trusted.as_ref().map(Option::as_ref) == Some(ca) {
            return;
        }
        match ask::connector(ca) {
            Ok(connector) => _ = self.connector.send_replace(Some(connector)),
            Err(error) => tracing::error!(%error, "health checks: the authorities of backends stay as they were"),
        }
        self.trusted = Some(ca.cloned());
    }
}

impl Manager {
    fn adjust(&mut self, backends: &[Backend], default: Duration) {
        let mut wanted: BTreeMap<u64, (BackendSpec, Duration)> = backends
            .iter()
            .filter(|b| b.admin_state != AdminState::Disabled)
            .map(|b| (b.id, (judged(&b.spec), interval(b, default))))
            .collect();
        self.stop_unwanted(&mut wanted);
        for (id, (spec, interval)) in wanted {
            self.start(id, spec, interval);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Ends checks that are gone or changed, and leaves in `wanted` those that do not run yet.
    fn stop_unwanted(&mut self, wanted: &mut BTreeMap<u64, (BackendSpec, Duration)>) {
        let (book, metrics) = (&self.book, &self.metrics);
        self.running.retain(|id, check| match wanted.get(id) {
            Some((spec, interval)) if *spec == check.spec => {
                check.interval.send_if_modified(|old| std::mem::replace(old, *interval) != *interval);
                wanted.remove(id);
                true
            }
            still => {
                check.stop.cancel();
                if still.is_none() {
                    book.forget(*id);
                    metrics.backend_gone(check.spec.url.as_str());
                }
                false
            }
        });
    }

    fn start(&mut self, id: u64, spec: BackendSpec, interval: Duration) {
        let (stop, (interval, intervals)) = (CancellationToken::new(), watch::channel(interval));
        let checker = Checker {
            id,
            spec: spec.clone(),
            interval: intervals,
            tls: self.tls.connector.subscribe(),
            stop: stop.clone(),
            book: self.book.clone(),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn(checker.run());
        self.running.insert(id, Running { spec, interval, stop });
    }
}

/// What makes a check another one: not the weight, and not how often it is done.
fn judged(spec: &BackendSpec) -> BackendSpec {
    let health_check = HealthCheck { interval_ms: None, ..spec.health_check.clone() };
    BackendSpec { weight: 1, health_check, ..spec.clone() }
}

fn interval(backend: &Backend, default: Duration) -> Duration {
    backend.spec.health_check.interval_ms.map_or(default, |ms| Duration::from_millis(ms.into()))
}

struct Checker {
    id: u64,
    spec: BackendSpec,
    interval: watch::Receiver<Duration>,
    tls: watch::Receiver<Option<TlsConnector>>,
    stop: CancellationToken,
    book: Arc<HealthBook>,
    metrics: Arc<Metrics>,
}

impl Checker {
    async fn run(mut self) {
        let mut judge = Judge::new(self.spec.health_check.rise, self.spec.health_check.fall);
        loop {
            let Some(tls) = self.tls.borrow_and_update().clone() else { return };
            let outcome = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                outcome = check(&self.spec, &tls) => outcome,
            };
            match outcome {
                Ok(outcome) => self.enter(&mut judge, outcome),
                Err(error) => tracing::debug!(backend = self.spec.url.as_str(), %error, "health check not made"),
            }
            if self.stop.run_until_cancelled(pause(&mut self.interval)).await.is_none() {
                return;
            }
        }
    }

    fn enter(&self, judge: &mut Judge, outcome: Outcome) {
        let url = self.spec.url.as_str();
        let health = judge.observe(outcome.success);
        let reason = outcome.reason.clone();
        let count = || self.metrics.health_check(url, outcome.success, health);
        let recorded = self.book.record((self.id, &self.stop), health, outcome.reason, count);
        let Some(before) = recorded else { return };
        let (from, to) = (before.as_str(), health.as_str());
        if health == Health::Healthy {
            tracing::info!(backend = url, from, to, reason, "backend health changed");
        } else {
            tracing::warn!(backend = url, from, to, reason, "backend health changed");
        }
    }
}

/// Waits until the next check is due; a new interval counts from when it was said.
async fn pause(interval: &mut watch::Receiver<Duration>) {
    loop {
        let now = *interval.borrow_and_update();
        tokio::select! {
            () = sleep(jittered(now, fastrand::f64())) => return,
            // The sender is gone only when the check is stopped.
            Ok(()) = interval.changed() => {}
        }
    }
}

/// Spreads checks by up to 10 % either way, so that many backends or control planes do not ask in step.
fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random)
}
