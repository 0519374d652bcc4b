//! Certificates that are renewed while we run.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{AdminTls, TlsFiles};

/// How soon a changed file is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the files again when one changes, until `shutdown`. What cannot be used is logged and changes nothing.
pub(crate) async fn keep_fresh(tls: AdminTls, shutdown: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let (tls, last) = (tls.clone(), seen.take());
        // A file system that hangs holds up its thread, and nothing else.
        let looked = spawn_blocking(move || look(&tls, last));
        let Some(now) = shutdown.run_until_cancelled(looked).await else { return };
        seen = now.ok();
    }
}

/// How files look from outside.
pub(super) type State = Vec<Option<(SystemTime, u64)>>;

/// Compares the files with how they were last seen; the first time, with how they were when they were read.
fn look(tls: &AdminTls, last: Option<State>) -> State {
    let now = state(&tls.files());
    if last.unwrap_or_else(|| tls.current.load().seen.clone()) != now {
        reload(tls);
    }
    now
}

fn reload(tls: &AdminTls) {
    match tls.reload() {
        Ok(()) => tracing::info!(listener = "admin", "certificates read again"),
        Err(error) => tracing::warn!(%error, "cannot read certificates again; those in use stay"),
    }
}

/// What changes when a file is replaced or written.
pub(super) fn state(files: &TlsFiles) -> State {
    let state = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()].into_iter().flatten().map(|p| state(p)).collect()
}
