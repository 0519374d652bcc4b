//! Starts, restarts and stops the checks as backends come, change and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Health, HealthBook,
    check::{Outcome, check},
    judge::Judge,
};
use crate::{
    domain::{AdminState, Backend, BackendSpec},
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
    let mut manager = Manager { book, metrics, running: BTreeMap::new(), tasks: JoinSet::new() };
    loop {
        let backends = image.borrow_and_update().backends.clone();
        let default = *interval.borrow_and_update();
        manager.adjust(&backends, default);
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = image.changed() => if changed.is_err() { return },
            // Nobody can change the interval any more once its sender is gone.
            Ok(()) = interval.changed() => {}
        }
    }
}

/// What a running check was started with.
#[derive(PartialEq)]
struct Plan {
    spec: BackendSpec,
    interval: Duration,
}

struct Manager {
    book: Arc<HealthBook>,
    metrics: Arc<Metrics>,
    running: BTreeMap<u64, (Plan, CancellationToken)>,
    /// Dropping it ends every check.
    tasks: JoinSet<()>,
}

impl Manager {
    fn adjust(&mut self, backends: &[Backend], default: Duration) {
        let mut wanted: BTreeMap<u64, Plan> = backends
            .iter()
            .filter(|b| b.admin_state != AdminState::Disabled)
            .map(|b| (b.id, Plan { spec: unweighted(&b.spec), interval: interval(b, default) }))
            .collect();
        self.stop_unwanted(&mut wanted);
        for (id, plan) in wanted {
            self.start(id, plan);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Ends checks that are gone or changed, and leaves in `wanted` those that do not run yet.
    fn stop_unwanted(&mut self, wanted: &mut BTreeMap<u64, Plan>) {
        let (book, metrics) = (&self.book, &self.metrics);
        self.running.retain(|id, (plan, stop)| match wanted.get(id) {
            Some(new) if new == plan => {
                wanted.remove(id);
                true
            }
            still => {
                stop.cancel();
                if still.is_none() {
                    book.forget(*id);
                    metrics.backend_gone(plan.spec.url.as_str());
                }
                false
            }
        });
    }

    fn start(&mut self, id: u64, plan: Plan) {
        let stop = CancellationToken::new();
        let checker = Checker {
            id,
            spec: plan.spec.clone(),
            interval: plan.interval,
            book: self.book.clone(),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn(checker.run(stop.clone()));
        self.running.insert(id, (plan, stop));
    }
}

// A changed weight is no reason to begin judging anew.
fn unweighted(spec: &BackendSpec) -> BackendSpec {
    BackendSpec { weight: 1, ..spec.clone() }
}

fn interval(backend: &Backend, default: Duration) -> Duration {
    backend.spec.health_check.interval_ms.map_or(default, |ms| Duration::from_millis(ms.into()))
}

struct Checker {
    id: u64,
    spec: BackendSpec,
    interval: Duration,
    book: Arc<HealthBook>,
    metrics: Arc<Metrics>,
}

impl Checker {
    async fn run(self, stop: CancellationToken) {
        let mut judge = Judge::new(self.spec.health_check.rise, self.spec.health_check.fall);
        loop {
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = check(&self.spec) => outcome,
            };
            self.enter(&mut judge, outcome);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(jittered(self.interval, fastrand::f64())) => {}
            }
        }
    }

    fn enter(&self, judge: &mut Judge, outcome: Outcome) {
        let url = self.spec.url.as_str();
        let health = judge.observe(outcome.success);
        self.metrics.health_check(url, outcome.success, health);
        let reason = outcome.reason.clone();
        let Some(before) = self.book.record(self.id, health, outcome.reason) else { return };
        let (from, to) = (before.as_str(), health.as_str());
        if health == Health::Healthy {
            tracing::info!(backend = url, from, to, reason, "backend health changed");
        } else {
            tracing::warn!(backend = url, from, to, reason, "backend health changed");
        }
    }
}

/// Spreads checks by up to 10 % either way, so that many backends or control planes do not ask in step.
fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random)
}
