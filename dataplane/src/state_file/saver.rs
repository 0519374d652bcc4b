//! Saves each new snapshot in the background, however fast they come.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::StateDir;
use crate::{shared::Shared, snapshot::Snapshot};

const PAUSE: Duration = Duration::from_secs(1);
/// Saving takes at most about this part of one thread's time, even when it is slow and changes never stop.
const SHARE: u32 = 10;
/// A full disk stays full for a while: its warning is repeated no more often than this.
const WARN_EVERY: Duration = Duration::from_secs(60);

type Latest = watch::Receiver<Option<Arc<Snapshot>>>;

/// Runs until the sender is gone, which saves the last snapshot once more if it is not saved yet.
pub(crate) async fn keep_saved(directory: StateDir, shared: Arc<Shared>, mut latest: Latest) {
    let directory = Arc::new(directory);
    let mut warned = None;
    while latest.changed().await.is_ok() {
        let begun = Instant::now();
        let saved = save_latest(&directory, &mut latest).await;
        note(&saved, &shared, &mut warned);
        let pause = sleep_until(Instant::now() + PAUSE.max(begun.elapsed() * SHARE));
        tokio::select! {
            // What could not be saved is tried again even if nothing changes.
            () = pause => if saved.is_err() { latest.mark_changed() },
            () = gone(latest.clone()) => {}
        }
    }
}

/// Resolves when nothing will follow.
async fn gone(mut latest: Latest) {
    while latest.changed().await.is_ok() {}
}

async fn save_latest(directory: &Arc<StateDir>, latest: &mut Latest) -> std::io::Result<()> {
    let snapshot = latest.borrow_and_update().clone();
    let Some(snapshot) = snapshot else { return Ok(()) };
    let directory = Arc::clone(directory);
    spawn_blocking(move || directory.save(&snapshot)).await.map_err(std::io::Error::other)?
}

fn note(saved: &std::io::Result<()>, shared: &Shared, warned: &mut Option<Instant>) {
    match saved {
        Ok(()) => {
            shared.metrics.state_file.saved();
            *warned = None;
        }
        Err(error) => {
            shared.metrics.state_file.failed();
            if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                tracing::warn!(
                    "cannot save the snapshot: {error}; serving goes on, a restart would not know the latest"
                );
                *warned = Some(Instant::now());
            }
        }
    }
}
