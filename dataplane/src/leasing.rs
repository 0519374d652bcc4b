//! Limits that count for all data planes together, in this one: between the request path and the ledger.
//!
//! What is to be said and done is decided by [`crate::lease`]; here it is put into effect. Request threads take tokens
//! through the [`LeaseDesk`]; a thread of its own has the lease, hears what they want, and keeps a stream to the control
//! plane that keeps the ledger. Limits that count for this data plane alone need none of it.

mod bells;
mod desk;
mod host;
mod route;
mod session;
#[cfg(test)]
mod tests;

pub use desk::{LeaseDesk, SharedClient};

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    limit::LimitScope,
    shared::Shared,
    state_file::Identity,
    sync::{Backoff, SyncOptions},
};
use host::Host;
use route::Route;
use session::End;

/// Attempts are at most this far apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A stream that stood this long was a good one: the next attempt comes at once.
const GOOD_STREAM: Duration = Duration::from_secs(1);

/// Keeps the lease whenever limits count for all data planes together. Returns when shut down, after everything held has
/// been given back.
pub(crate) async fn run(options: SyncOptions, shared: Arc<Shared>, mut identity: Identity, stop: CancellationToken) {
    // Another one has it only if this runs twice over the same state.
    let Some(mut inbox) = shared.leases.take_inbox() else { return };
    loop {
        let mut scope = shared.leases.scope();
        tokio::select! {
            () = stop.cancelled() => return,
            changed = scope.wait_for(|scope| *scope == LimitScope::Global) => if changed.is_err() {
                return;
            }
        }
        let mut host = Host::new(&shared, &mut inbox, &mut identity);
        keep(&options, &mut host, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        host.abandon();
    }
}

/// Keeps the lease until shut down, or until limits count for this data plane alone.
async fn keep(options: &SyncOptions, host: &mut Host<'_>, stop: &CancellationToken) {
    let mut until = Until { stop: stop.clone(), scope: host.shared().leases.scope() };
    let (mut route, mut backoff) = (Route::new(options.control_planes.clone()), Backoff::up_to(LONGEST_PAUSE));
    loop {
        let control_plane = route.next();
        let begun = Instant::now();
        let (lost, welcomed) = match session::run(&control_plane, options, host, &mut until).await {
            End::Over => return,
            End::Namesake => {
                host.rename();
                // With the new name this control plane goes along. If it does not, it is not asked in a hurry.
                route.stay();
                ("another data plane has a stream under this one's name".into(), false)
            }
            End::Elsewhere(address) => {
                if route.point_to(&address) {
                    tracing::debug!(%control_plane, address, "another control plane keeps the ledger");
                    continue;
                }
                (format!("another control plane keeps the ledger, at {address:?}"), false)
            }
            End::Lost(lost, welcomed) => (lost.to_string(), welcomed),
        };
        if welcomed {
            route.stay();
            if begun.elapsed() >= GOOD_STREAM {
                backoff.reset();
                report(&control_plane, &lost, 1);
                continue;
            }
        } else if route.is_round_over() {
            host.alone();
        }
        let pause = backoff.next(fastrand::f64());
        report(&control_plane, &lost, backoff.failures());
        tokio::select! {
            () = until.reached() => return,
            () = host.meanwhile(tokio::time::sleep(pause)) => {}
        }
    }
}

/// The end of a lease's time.
struct Until {
    stop: CancellationToken,
    scope: tokio::sync::watch::Receiver<LimitScope>,
}

impl Until {
    async fn reached(&mut self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            // The sender outlives this.
            _ = self.scope.wait_for(|scope| *scope == LimitScope::Local) => {}
        }
    }
}

/// An outage may last for days: the 1st, 2nd, 4th, 8th … failure in a row is worth a person's attention.
fn report(control_plane: &http::Uri, why: &str, failures: u32) {
    if failures.is_power_of_two() {
        tracing::warn!(%control_plane, failures, "no lease: {why}");
    } else {
        tracing::debug!(%control_plane, failures, "no lease: {why}");
    }
}
