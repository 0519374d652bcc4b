//! A configuration that is read again while we run.

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
    mut current: Config,
    mut reload: mpsc::Receiver<Config>,
    store: Store,
    hub: Arc<Hub>,
    interval: watch::Sender<Duration>,
    shutdown: CancellationToken,
) {
    let tls = current.admin.tls.clone();
    let mut waiting: Option<Config> = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            // Nobody reloads; the interval's sender must live on all the same.
            next = reload.recv(), if !reload.is_closed() || !reload.is_empty() => if let Some(next) = next {
                if next.backends.is_empty() && !current.backends.is_empty() {
                    // An editor that has emptied the file and not yet written it looks just like that.
                    tracing::warn!("reload: the file has no backends any more; the configuration stays as it was (to remove the last one, restart)");
                    continue;
                }
                warn_of_what_needs_a_restart(&current, &next);
                adopt_certificates(tls.as_ref(), next.admin.tls.as_ref());
                waiting = Some(next);
            },
            () = sleep(RETRY), if waiting.is_some() => {}
        }
        let Some(next) = waiting.take() else { continue };
        let Some(applied) = shutdown.run_until_cancelled(reconcile(&store, &next)).await else { return };
        match applied {
            Ok(()) => {
                interval.send_replace(next.check_interval);
                hub.ask();
                current = next;
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Full(_))) => {
                tracing::warn!(%error, "reload: the configuration stays as it was until the database answers");
                waiting = Some(next);
            }
            Err(error) => tracing::error!(%error, "reload: the configuration stays as it was"),
        }
    }
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

fn warn_of_what_needs_a_restart(current: &Config, next: &Config) {
    let token = |config: &Config| config.admin.token.as_ref().map(|t| t.reveal().to_owned());
    let tls = current.admin.tls.is_some() != next.admin.tls.is_some();
    let admin = tls || current.admin.address() != next.admin.address() || token(current) != token(next);
    for (section, changed) in [("admin", admin), ("database", current.database != next.database)] {
        if changed {
            tracing::warn!(section, "changed in the configuration, but takes effect only after a restart");
        }
    }
}
