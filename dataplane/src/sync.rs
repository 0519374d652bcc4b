//! Follows a control plane: one stream at a time, the next control plane when one fails, forever.

mod assembler;
mod backoff;
mod connect;
mod health;
mod holder;
mod outbox;
mod pace;
mod session;
mod step;
mod tls;

pub(crate) use backoff::Backoff;
pub(crate) use connect::{Lost, dial};
pub(crate) use holder::Holder;
pub(crate) use step::{Seal, Staging, Step};
pub use tls::{ControlPlaneTls, Identity, TlsFault};

use std::time::Duration;

use http::Uri;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::config::Secret;

/// Attempts are at most this far apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that stood this long was a good one: the next attempt comes quickly again.
const GOOD_STREAM: Duration = Duration::from_secs(5);

/// Whom to follow, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct SyncOptions {
    /// At least one; tried in this order.
    pub(crate) control_planes: Vec<Uri>,
    pub(crate) token: Option<Secret>,
    /// For those with `https`.
    pub(crate) tls: ControlPlaneTls,
    /// Its name, and every other one that it takes: a stream is opened anew with that.
    pub(crate) replica_id: watch::Receiver<String>,
}

/// Returns when shut down, and then only.
pub(crate) async fn run(options: SyncOptions, mut holder: Holder, shutdown: CancellationToken) {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    for control_plane in options.control_planes.iter().cycle() {
        let begun = Instant::now();
        let Err(lost) = session::run(control_plane, &options, &mut holder, &shutdown).await else { return };
        holder.lost();
        if begun.elapsed() >= GOOD_STREAM {
            backoff.reset();
        }
        let wait = backoff.next(fastrand::f64());
        report(control_plane, &lost, backoff.failures(), wait);
        tokio::select! {
            () = sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// An outage may last for days: the 1st, 2nd, 4th, 8th … failure in a row is worth a person's attention.
fn report(control_plane: &Uri, lost: &Lost, failures: u32, wait: Duration) {
    let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if failures.is_power_of_two() {
        tracing::warn!(%control_plane, failures, retry_ms, "no stream to the control plane: {lost}");
    } else {
        tracing::debug!(%control_plane, failures, retry_ms, "no stream to the control plane: {lost}");
    }
}

#[cfg(test)]
mod tests;
