//! Certificates that are renewed while we run.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::Certificates;

/// How soon a changed file is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the certificates again on SIGHUP and when a file changes, until `stop`. What cannot be used is logged and
/// changes nothing. Without certificates SIGHUP does nothing, rather than end the process.
pub(crate) async fn keep_fresh(certificates: Option<Certificates>, stop: CancellationToken) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = certificates.as_ref().map(state);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            () = received(&mut hangup) => true,
            _ = ticks.tick() => false,
        };
        let Some(certificates) = &certificates else { continue };
        let now = Some(state(certificates));
        if asked || now != seen {
            seen = now;
            reload(certificates);
        }
    }
}

fn reload(certificates: &Certificates) {
    match certificates.reload() {
        Ok(()) => tracing::info!("certificates read again"),
        Err(error) => tracing::warn!(%error, "cannot read certificates again; those in use stay"),
    }
}

async fn received(hangup: &mut Option<Signal>) {
    match hangup {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// What changes when a file is replaced or written.
fn state(certificates: &Certificates) -> Vec<Option<(SystemTime, u64)>> {
    let state = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    certificates.files().iter().flat_map(|f| [state(&f.certificate), state(&f.key)]).collect()
}
