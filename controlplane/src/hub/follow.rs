//! Keeps the hub up to date.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::{
    metrics::Metrics,
    store::{Store, StoreError},
};

/// Without any sign of a change the store is asked at least this often.
const POLL: Duration = Duration::from_secs(5);
/// Pause after the store failed to answer.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the store until `shutdown`.
pub(crate) async fn follow(hub: Arc<Hub>, store: Store, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let mut changed = store.changed();
    while !shutdown.is_cancelled() {
        changed.mark_unchanged();
        // Reading everything may take long, and nothing is lost when a shutdown ends it.
        let Some(refreshed) = shutdown.run_until_cancelled(refresh(&hub, &store)).await else { return };
        hub.followed(refreshed.as_ref().err());
        let pause = match refreshed {
            Ok(()) => {
                metrics.configuration(&hub.image());
                hub.refreshed.send_modify(|count| *count += 1);
                POLL
            }
            Err(error) => {
                metrics.database_error(&error);
                RETRY
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = hub.refresh.notified() => {}
            // A store that is gone closes the channel; the time-out then paces the loop.
            _ = timeout(pause, news(&mut changed)) => {}
        }
    }
}

impl Hub {
    /// Keeps why changes do not arrive, and says so once per reason: it may last.
    fn followed(&self, error: Option<&StoreError>) {
        let fault = error.map(ToString::to_string);
        self.fault.send_if_modified(|known| {
            if *known == fault {
                return false;
            }
            match &fault {
                Some(error) => tracing::warn!(error, "cannot read changes of the configuration; the last one stays"),
                None => tracing::info!("changes of the configuration are read again"),
            }
            *known = fault;
            true
        });
    }
}

async fn news(changed: &mut tokio::sync::watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn refresh(hub: &Hub, store: &Store) -> Result<(), StoreError> {
    let image = hub.image();
    match store.changes_since(image.revision, Some(image.origin())).await? {
        Some(changes) if changes.revision == image.revision => {}
        Some(changes) => hub.apply(changes),
        None => {
            let loaded = store.load().await?;
            tracing::info!(from = image.revision, to = loaded.revision, "loaded the whole configuration again");
            hub.replace(loaded);
        }
    }
    Ok(())
}
