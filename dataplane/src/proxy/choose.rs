//! Finding a backend with room for a request, and telling the pool how that went.

use std::sync::Arc;

use tokio::time::sleep;

use super::{caller::Caller, forward::Forward};
use crate::{
    clock::{self, Nanos},
    metrics::OwnAnswer,
    pool::{Ask, Backend, InFlight, NoPick, Pool, Verdict},
    server::Worker,
    traffic::Failure,
};

/// Choices that may be in vain because other threads were faster, before a backend counts as busy.
const RACES: usize = 8;

/// A backend, and the request's place on it.
pub(super) type Place = (Arc<Backend>, InFlight);

impl Forward<'_> {
    /// A backend for the first try, waiting for room if need be.
    pub(super) async fn first_place(&self, caller: &mut impl Caller) -> Result<Place, OwnAnswer> {
        let others_wait = self.worker.options.pool.max_in_flight > 0 && self.worker.shared.queue.waiting() > 0;
        let place = if others_wait { Err(NoPick::Busy) } else { self.place(&[]) };
        match place {
            Ok(place) => Ok(place),
            Err(NoPick::Nobody) => Err(OwnAnswer::NoBackend),
            Err(NoPick::Busy) => {
                caller.settle();
                // Boxed: few wait, and those who do not should not carry the room for it.
                Box::pin(self.wait_for_place()).await
            }
        }
    }

    async fn wait_for_place(&self) -> Result<Place, OwnAnswer> {
        let attempt = || match self.place(&[]) {
            Ok(place) => Some(Ok(place)),
            Err(NoPick::Nobody) => Some(Err(OwnAnswer::NoBackend)),
            Err(NoPick::Busy) => None,
        };
        let give_up = sleep(self.worker.options.queue_timeout);
        self.worker.shared.queue.wait(attempt, give_up).await.unwrap_or(Err(OwnAnswer::Overloaded))
    }

    /// A backend with room now.
    pub(super) fn place(&self, tried: &[u64]) -> Result<Place, NoPick> {
        let (worker, rules) = (self.worker, &self.worker.options.pool);
        for _ in 0..RACES {
            let ask = Ask { client: self.client.stable_hash, random: worker.random(), now: clock::now(), tried, rules };
            let backend = self.snapshot.pool.pick(&ask)?;
            if let Some(in_flight) = backend.state.try_begin(rules.max_in_flight, &worker.shared.queue) {
                return Ok((backend.clone(), in_flight));
            }
        }
        Err(NoPick::Busy)
    }

    /// The backend failed a request.
    pub(super) fn blame(&self, backend: &Arc<Backend>, failure: Failure) {
        let rules = &self.worker.options.pool.outlier;
        log(self.snapshot.pool.failed(backend, failure, clock::now(), rules));
    }

    /// The backend answered a request.
    pub(super) fn credit(&self, backend: &Arc<Backend>, status: u16) {
        let rules = &self.worker.options.pool.outlier;
        log(self.snapshot.pool.answered(backend, status, clock::now, rules));
    }
}

/// Tells operators what has changed.
fn log(verdicts: impl IntoIterator<Item = Verdict>) {
    for verdict in verdicts {
        match verdict {
            Verdict::Ejected { backend, reason, lasts_ns } => tracing::warn!(
                backend = %backend.authority,
                reason = reason.label(),
                seconds = lasts_ns as f64 / 1e9,
                "backend ejected"
            ),
            Verdict::Returned(backend) => tracing::info!(backend = %backend.authority, "backend returns"),
            Verdict::Panic(true) => {
                tracing::warn!("too few backends are left; ejections of those that answer are ignored")
            }
            Verdict::Panic(false) => tracing::info!("enough backends are left again"),
        }
    }
}

/// Judges the backends by their last seconds. For one thread, once a second.
pub(crate) fn review(worker: &Worker, pool: &Pool, now: Nanos) {
    let rules = &worker.options.pool;
    log(pool.review(now, &rules.outlier));
    // Room may also come from a backend that is new or comes back.
    let queue = &worker.shared.queue;
    (0..queue.waiting().min(pool.room(now, rules))).for_each(|_| queue.made_room());
}
