//! From a configuration to a running control plane, and back.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    AdminTls, Error, Listeners,
    config::{AdminConfig, Config, DEFAULT_PATH},
    descriptors,
    domain::{Invalid, Source},
    health::{self, HealthBook},
    hub::{self, Hub},
    metrics::Metrics,
    plane::Plane,
    probe::{self, Probe},
    replicas::Replicas,
    server::{self, Handshake, Patience, Port, Seats},
    store::{Store, StoreError},
    tls,
};

/// Version of the control plane.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Pause before a configuration that the database could not take is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Binds the admin port.
pub async fn listen(admin: &AdminConfig) -> Result<TcpListener, Error> {
    let (host, port) = admin.address();
    TcpListener::bind((host, port)).await.map_err(|source| Error::Listen { address: format!("{host}:{port}"), source })
}

/// Runs a control plane on `listeners` until `shutdown`, then finishes the requests in flight.
///
/// `/metrics` shows all of `registry`, so a caller may have registered metrics of its own before. Each configuration
/// that arrives on `reload` replaces the backends and settings of the one before.
pub async fn run(
    config: Config,
    listeners: impl Into<Listeners>,
    mut registry: Registry,
    reload: mpsc::Receiver<Config>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    descriptors::raise_limit();
    let database = config.database.to_string();
    let fault = |source: StoreError| Error::Store { database: database.clone(), source };
    match &config.file {
        Some(file) => tracing::info!(file = %file.display(), database, "configuration"),
        None => tracing::info!(database, "no configuration file: running on defaults"),
    }
    // Opening may wait for another control plane's migration, or for a server that does not answer.
    let Some(started) = shutdown.run_until_cancelled(start(&config)).await else { return Ok(()) };
    let (store, hub) = started.map_err(fault)?;
    let plane = plane(store, hub, Metrics::new(&mut registry), config.heartbeat, shutdown);
    let ports = ports(listeners.into(), &plane, registry, &config.admin);
    let mut tasks = background(&plane, config, reload);
    for port in ports {
        tasks.spawn(server::serve(port, plane.shutdown.clone()));
    }
    tasks.join_all().await;
    Ok(())
}

async fn start(config: &Config) -> Result<(Store, Hub), StoreError> {
    let store = Store::open(&config.database).await?;
    reconcile(&store, config).await?;
    let loaded = store.load().await?;
    Ok((store, Hub::new(loaded)))
}

fn ports(listeners: Listeners, plane: &Plane, registry: Registry, admin: &AdminConfig) -> Vec<Port> {
    let Listeners { admin: listener, internal } = listeners;
    let tls = admin.tls.clone().map(|tls| Handshake { tls, metrics: plane.metrics.clone() });
    let app = server::app(plane.clone(), registry, admin.token.clone());
    let seats = Some(Seats::new(admin.max_connections, plane.metrics.clone()));
    let admin = Port { name: "admin", listener, tls, seats, patience: Patience::default(), app };
    let internal = internal.map(|internal| {
        let app = server::internal_app(plane.clone(), internal.token().clone());
        // Whoever floods the admin port does not part the planes.
        let (tls, seats, patience) = (None, None, Patience::default());
        Port { name: "internal", listener: internal.listener, tls, seats, patience, app }
    });
    [admin].into_iter().chain(internal).collect()
}

fn plane(store: Store, hub: Hub, metrics: Arc<Metrics>, heartbeat: Duration, shutdown: CancellationToken) -> Plane {
    metrics.configuration(&hub.image());
    Plane {
        store,
        hub: Arc::new(hub),
        book: Arc::new(HealthBook::new()),
        replicas: Arc::new(Replicas::new(metrics.clone())),
        probe: Arc::new(Probe::new()),
        metrics,
        started: Instant::now(),
        heartbeat,
        shutdown,
    }
}

fn background(plane: &Plane, config: Config, reload: mpsc::Receiver<Config>) -> JoinSet<()> {
    let Plane { store, hub, book, probe, metrics, shutdown, .. } = plane.clone();
    let (interval, intervals) = watch::channel(config.check_interval);
    let mut tasks = JoinSet::new();
    tasks.spawn(hub::follow(hub.clone(), store.clone(), metrics.clone(), shutdown.clone()));
    tasks.spawn(health::run(hub.clone(), book, metrics.clone(), intervals, shutdown.clone()));
    tasks.spawn(probe::run(probe, store.clone(), metrics, shutdown.clone()));
    if let Some(tls) = config.admin.tls.clone() {
        tasks.spawn(tls::keep_fresh(tls, shutdown.clone()));
    }
    tasks.spawn(follow_file(config, reload, store, hub, interval, shutdown));
    tasks
}

/// Applies each configuration that is read again. While the database is gone it is tried until it is there, or until a
/// newer configuration takes its place.
async fn follow_file(
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
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_))) => {
                tracing::warn!(%error, "reload: the configuration stays as it was until the database answers");
                waiting = Some(next);
            }
            Err(error) => tracing::error!(%error, "reload: the configuration stays as it was"),
        }
    }
}

async fn reconcile(store: &Store, config: &Config) -> Result<(), StoreError> {
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
