//! A configuration that is read again while we run.

mod restart;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    AdminTls,
    config::{Config, DEFAULT_PATH},
    domain::{Invalid, Source},
    hub::Hub,
    store::{Store, StoreError},
};

/// Pause before a configuration that the database could not take is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Applies each configuration that is read again. While the database is gone it is tried until it is there, or until a
/// newer configuration takes its place.
pub(crate) async fn follow(
    started: Config,
    mut reload: mpsc::Receiver<Config>,
    store: Store,
    hub: Arc<Hub>,
    interval: watch::Sender<Duration>,
    shutdown: CancellationToken,
) {
    let mut has_backends = !started.backends.is_empty();
    let mut waiting: Option<Config> = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            // Nobody reloads; the interval's sender must live on all the same.
            next = reload.recv(), if !reload.is_closed() || !reload.is_empty() => {
                waiting = next.filter(|next| is_acceptable(&started, next, has_backends)).or(waiting);
            }
            () = sleep(RETRY), if waiting.is_some() => {}
        }
        let Some(next) = waiting.take() else { continue };
        let Some(applied) = shutdown.run_until_cancelled(reconcile(&store, &next)).await else { return };
        match applied {
            Ok(()) => {
                interval.send_replace(next.check_interval);
                hub.ask();
                has_backends = !next.backends.is_empty();
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Full(_))) => {
                tracing::warn!(%error, "reload: the configuration stays as it was until the database answers");
                waiting = Some(next);
            }
            Err(error) => tracing::error!(%error, "reload: the configuration stays as it was"),
        }
    }
}

/// Whether it is to be applied; what of it does not go into the database is done here.
fn is_acceptable(started: &Config, next: &Config, has_backends: bool) -> bool {
    if next.backends.is_empty() && has_backends {
        // An editor that has emptied the file and not yet written it looks just like that.
        tracing::warn!(
            "reload: the file has no backends any more; the configuration stays as it was (to remove the last one, restart)"
        );
        return false;
    }
    let keys = restart::keys(started, next);
    if !keys.is_empty() {
        tracing::warn!(keys = keys.join(", "), "changed in the configuration, but takes effect only after a restart");
    }
    adopt_certificates(started.admin.tls.as_ref(), next.admin.tls.as_ref());
    true
}

/// Brings backends and settings of the database to what the configuration says.
pub(crate) async fn reconcile(store: &Store, config: &Config) -> Result<(), StoreError> {
    if config.file.is_none() && config.backends.is_empty() {
        refuse_to_forget(store).await?;
    }
    let done = store.reconcile(&config.backends, &config.settings).await?;
    let (revision, added, changed, removed) = (done.revision, done.added, done.changed, done.removed);
    tracing::info!(
        revision,
        added,
        changed,
        removed,
        settings = done.settings_changed,
        "backends and settings applied"
    );
    Ok(())
}

/// A control plane that was merely started in another directory must not take the backends away from all data planes.
async fn refuse_to_forget(store: &Store) -> Result<(), StoreError> {
    let of_file = store.list_backends().await?.into_iter().filter(|b| b.source == Source::File).count();
    if of_file == 0 {
        return Ok(());
    }
    let expected = format!(
        "expected a configuration file: there is none at {DEFAULT_PATH} in this directory, and the database holds \
         {of_file} backends of one; start where it is, or name it with --config FILE"
    );
    Err(StoreError::Invalid(Invalid { field: "config", expected }))
}

/// Loading the configuration has read the files again; only whether there is TLS at all is decided at start.
fn adopt_certificates(serving: Option<&AdminTls>, next: Option<&AdminTls>) {
    if let (Some(serving), Some(next)) = (serving, next) {
        serving.adopt(next);
    }
}
