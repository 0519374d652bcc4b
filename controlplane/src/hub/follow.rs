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
        let pause = match refresh(&hub, &store).await {
            Ok(()) => {
                metrics.configuration(&hub.image());
                hub.refreshed.send_modify(|count| *count += 1);
                POLL
            }
            Err(error) => {
                metrics.database_error(&error);
                tracing::debug!(%error, "cannot read changes of the configuration");
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

async fn news(changed: &mut tokio::sync::watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn refresh(hub: &Hub, store: &Store) -> Result<(), StoreError> {
    let image = hub.image();
    match store.changes_since(image.revision).await? {
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
