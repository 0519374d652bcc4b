//! From a configuration to a serving plane and back to nothing.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use prometheus_client::registry::Registry;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Admin, Patience},
    config::{Config, made_up_replica_id},
    leasing, server,
    shared::Shared,
    signals::shutdown_signal,
    snapshot::Snapshot,
    state_file::{Identity, StateDir, StateDirError, keep_saved},
    sync::{self, Holder, SyncOptions},
};

/// Why a data plane does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({listener}): {reason}; {}", hint(listener, reason))]
    Bind {
        /// `proxy` or `admin`.
        listener: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A thread or a listener failed.
    #[error("cannot serve: {0}")]
    Serve(io::Error),
}

/// What to do about an address that cannot be listened on.
fn hint(listener: &str, reason: &io::Error) -> String {
    let flag =
        if listener == "admin" { "--admin-listen or BALANCER_ADMIN_LISTEN" } else { "--listen or BALANCER_LISTEN" };
    let why = match reason.kind() {
        io::ErrorKind::AddrInUse => "is another instance running?",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address;",
        io::ErrorKind::PermissionDenied => "a port below 1024 needs a privilege (CAP_NET_BIND_SERVICE);",
        _ => "choose another address:",
    };
    format!("{why} set {flag}")
}

/// Sockets that already listen.
#[derive(Debug)]
pub struct Listeners {
    /// Where clients are served: one per thread, of [`crate::server::bind`].
    pub proxy: Vec<TcpListener>,
    /// Where metrics and health are served; `None`: by somebody else, or not at all.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Listens where the configuration says.
    pub fn bind(config: &Config) -> Result<Self, Error> {
        let fault = |listener, address| move |reason| Error::Bind { listener, address, reason };
        let proxy = server::bind(config.listen, config.threads).map_err(fault("proxy", config.listen))?;
        let admin = TcpListener::bind(config.admin_listen).map_err(fault("admin", config.admin_listen))?;
        Ok(Self { proxy, admin: Some(admin) })
    }
}

/// Runs a data plane of its own: listens as configured, until SIGTERM or SIGINT.
pub async fn start(config: Config) -> Result<(), Error> {
    let (mut registry, shutdown) = (Registry::default(), shutdown_signal().map_err(Error::Serve)?);
    let shared = Shared::new(config.max_clients, &mut registry);
    let listeners = Listeners::bind(&config)?;
    run(config, listeners, shared, registry, shutdown).await
}

/// Runs a data plane until `shutdown`, then finishes the requests in flight and saves the last snapshot.
///
/// `shared` is of [`Shared::new`], whose registry is given here if this plane has its own admin port.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shared: Arc<Shared>,
    registry: Registry,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    server::raise_limit();
    // What is stopped last: the admin port tells of draining, and the stream brings what still changes.
    let drained = CancellationToken::new();
    let _stop_all = drained.clone().drop_guard();
    let (saves, latest) = watch::channel(None);
    let mut holder = Holder::new(Arc::clone(&shared), saves);
    let (identity, saver) = restore(&config, &shared, &mut holder, latest)?;
    if let Some(listener) = listeners.admin {
        start_admin(&config, &shared, registry, listener, drained.clone())?;
    }
    let options = sync_options(&config, &identity);
    let leased = start_lease(options.clone(), &shared, identity, drained.clone())?;
    let synced = start_sync(options, holder, drained.clone())?;
    announce("proxy", listeners.proxy.first());
    mark_draining(Arc::clone(&shared), shutdown.clone());
    tokio::spawn(server::tls::keep_fresh(config.serve.tls.clone(), drained.clone()));
    let served = server::serve(shared, config.serve.clone(), listeners.proxy, shutdown).await;
    drained.cancel();
    // The thread holds the sender: only after it is gone has the saver everything. Both end by themselves.
    let _ = tokio::join!(synced, leased);
    if let Some(saver) = saver {
        let _ = saver.await;
    }
    served.map_err(Error::Serve)
}

fn restore(
    config: &Config,
    shared: &Arc<Shared>,
    holder: &mut Holder,
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
) -> Result<(Identity, Option<JoinHandle<()>>), Error> {
    let Some(path) = &config.state_dir else {
        return Ok((Identity::new(config.replica_id.clone().unwrap_or_else(made_up_replica_id)), None));
    };
    let directory = StateDir::open(path)?;
    directory.restore(holder);
    let identity = directory.identity(config.replica_id.as_deref());
    Ok((identity, Some(tokio::spawn(keep_saved(directory, Arc::clone(shared), latest)))))
}

fn start_admin(
    config: &Config,
    shared: &Arc<Shared>,
    registry: Registry,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    announce("admin", Some(&listener));
    listener.set_nonblocking(true).map_err(Error::Serve)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Serve)?;
    let admin = Admin {
        shared: Arc::clone(shared),
        registry,
        token: config.admin_token.clone(),
        max_connections: config.admin_max_connections,
        patience: Patience::default(),
    };
    tokio::spawn(admin::serve(admin, listener, stop));
    Ok(())
}

fn sync_options(config: &Config, identity: &Identity) -> SyncOptions {
    SyncOptions {
        control_planes: config.control_planes.clone(),
        token: config.token.clone(),
        tls: config.control_plane_tls.clone(),
        replica_id: identity.names(),
    }
}

/// The stream has a thread of its own: taking in a million limits must not hold up anything else.
fn start_sync(options: SyncOptions, holder: Holder, stop: CancellationToken) -> Result<oneshot::Receiver<()>, Error> {
    on_thread("sync", move || sync::run(options, holder, stop))
}

/// So has the lease: requests wait for it.
fn start_lease(
    options: SyncOptions,
    shared: &Arc<Shared>,
    identity: Identity,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<()>, Error> {
    let shared = Arc::clone(shared);
    on_thread("lease", move || leasing::run(options, shared, identity, stop))
}

/// Does something on a thread of its own; resolves when that ends.
fn on_thread<F: Future<Output = ()>>(
    name: &str,
    task: impl FnOnce() -> F + Send + 'static,
) -> Result<oneshot::Receiver<()>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Serve)?;
    let (done, ended) = oneshot::channel();
    let work = move || {
        runtime.block_on(task());
        // Nobody waits any more only when `run` itself was dropped.
        let _ = done.send(());
    };
    thread::Builder::new().name(name.into()).spawn(work).map_err(Error::Serve)?;
    Ok(ended)
}

fn mark_draining(shared: Arc<Shared>, shutdown: CancellationToken) {
    tokio::spawn(async move {
        shutdown.cancelled().await;
        shared.set_draining();
    });
}

fn announce(listener: &'static str, socket: Option<&TcpListener>) {
    if let Some(Ok(address)) = socket.map(TcpListener::local_addr) {
        tracing::info!(listener, %address, "listening");
    }
}
