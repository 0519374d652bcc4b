//! From a configuration to a running control plane, and back.

use std::{pin::pin, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Listeners,
    authority::{self, Authority},
    bind::bind,
    config::{AdminConfig, Config},
    descriptors,
    entrance::Entrance,
    health::{self, HealthBook},
    hub::{self, Hub},
    keeper::{self, Keeper},
    metrics::Metrics,
    plane::Plane,
    probe::{self, Probe},
    reload,
    replicas::Replicas,
    store::{Store, StoreError},
    tls,
    waiting::Waiting,
};

/// Version of the control plane.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Binds the admin port.
pub async fn listen(admin: &AdminConfig) -> Result<TcpListener, Error> {
    let (host, port) = admin.address();
    bind(host, port).await.map_err(|source| Error::Listen { address: format!("{host}:{port}"), source })
}

/// Runs a control plane on `listeners` until `shutdown`, then finishes the requests in flight.
///
/// While the database does not answer, callers are told so, and it is tried again and again. `/metrics` shows all of
/// `registry`, so a caller may have registered metrics of its own before. Each configuration that arrives on `reload`
/// replaces the backends and settings of the one before.
///
/// # Errors
/// When the configuration or the database cannot be used in a way that waiting does not mend.
pub async fn run(
    config: Config,
    listeners: impl Into<Listeners>,
    mut registry: Registry,
    reload: mpsc::Receiver<Config>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    descriptors::raise_limit();
    let database = config.database.to_string();
    match &config.file {
        Some(file) => tracing::info!(file = %file.display(), database, "configuration"),
        None => tracing::info!(database, "no configuration file: running on defaults"),
    }
    let (metrics, waiting) = (Metrics::new(&mut registry), Arc::new(Waiting::new()));
    let listeners = listeners.into();
    let authority = Authority::new(config.admin.advertised(listeners.admin.local_addr()?.port()));
    let mut entrance = Entrance::new(listeners, &config.admin, registry, &metrics, &waiting);
    let mut tasks = JoinSet::new();
    let opened = {
        let mut opening = pin!(shutdown.run_until_cancelled(waiting.until(|| open(&config))));
        tokio::select! {
            opened = opening.as_mut() => opened,
            () = waiting.is_long() => {
                entrance.serve(&mut tasks, &shutdown);
                opening.await
            }
        }
    };
    let mut finish = None;
    if let Some(opened) = opened {
        let (store, hub) = opened.map_err(|source| Error::Store { database, source })?;
        finish = Some(store.clone());
        let (keeper, commands) = Keeper::new();
        let common = (Arc::new(authority), keeper);
        let plane = plane(store, hub, metrics, common, config.heartbeat, shutdown.clone());
        share_limits(&mut tasks, &plane, commands);
        plane.authority.settled().await;
        entrance.open(&plane);
        background(&mut tasks, &plane, config, reload);
        entrance.serve(&mut tasks, &shutdown);
    }
    tasks.join_all().await;
    if let Some(store) = finish {
        store.finish().await;
    }
    Ok(())
}

/// Opens the database and brings it up to date.
async fn open(config: &Config) -> Result<(Store, Hub), StoreError> {
    let store = Store::open(&config.database).await?;
    reload::reconcile(&store, config).await?;
    let loaded = store.load().await?;
    Ok((store, Hub::new(loaded)))
}

fn plane(
    store: Store,
    hub: Hub,
    metrics: Arc<Metrics>,
    (authority, keeper): (Arc<Authority>, Keeper),
    heartbeat: Duration,
    shutdown: CancellationToken,
) -> Plane {
    metrics.configuration(&hub.image());
    Plane {
        store,
        hub: Arc::new(hub),
        book: Arc::new(HealthBook::new()),
        replicas: Arc::new(Replicas::new(metrics.clone())),
        probe: Arc::new(Probe::new()),
        authority,
        keeper,
        metrics,
        started: Instant::now(),
        heartbeat,
        shutdown,
    }
}

fn background(tasks: &mut JoinSet<()>, plane: &Plane, config: Config, reload: mpsc::Receiver<Config>) {
    let Plane { store, hub, book, probe, metrics, shutdown, .. } = plane.clone();
    let (interval, intervals) = watch::channel(config.check_interval);
    tasks.spawn(hub::follow(hub.clone(), store.clone(), metrics.clone(), shutdown.clone()));
    tasks.spawn(health::run(hub.clone(), book, metrics.clone(), intervals, shutdown.clone()));
    tasks.spawn(probe::run(probe, store.clone(), metrics, shutdown.clone()));
    if let Some(tls) = config.admin.tls.clone() {
        tasks.spawn(tls::keep_fresh(tls, shutdown.clone()));
    }
    tasks.spawn(reload::follow(config, reload, store, hub, interval, shutdown));
}

fn share_limits(tasks: &mut JoinSet<()>, plane: &Plane, commands: keeper::Commands) {
    let Plane { store, authority, metrics, shutdown, .. } = plane.clone();
    tasks.spawn(keeper::run(commands, authority.clone(), store.clone(), metrics, shutdown.clone()));
    tasks.spawn(authority::run(authority, store, shutdown));
}
