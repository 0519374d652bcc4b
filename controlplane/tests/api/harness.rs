//! A control plane in this process, on a free port and a fresh database.

use std::{net::SocketAddr, time::Duration};

use controlplane::{
    Error,
    config::{self, Args, Config, Secret},
};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Long enough for a slow machine, short enough for a hanging test to say so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) reload: mpsc::Sender<Config>,
    pub(crate) dir: TempDir,
    pub(crate) args: Args,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// A control plane on SQLite with this configuration file.
    pub(crate) async fn start(yaml: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("b.db").display());
        Self::start_on(dir, url, yaml).await
    }

    /// As [`start`](Self::start), with so little patience for silent data planes.
    pub(crate) async fn start_impatient(heartbeat: Duration) -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("b.db").display());
        let args = Args { database_url: Some(Secret(url)), config: Some("/dev/null".into()), ..Args::default() };
        let config = Config { heartbeat, ..config::load(&args).unwrap() };
        Self::start_with(dir, args, config).await
    }

    pub(crate) async fn start_on(dir: TempDir, database: String, yaml: &str) -> Self {
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        let args = Args { config: Some(file), database_url: Some(Secret(database)), ..Args::default() };
        let config = config::load(&args).unwrap();
        Self::start_with(dir, args, config).await
    }

    pub(crate) async fn start_with(dir: TempDir, args: Args, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reload, reloads) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        let run = controlplane::run(config, listener, Registry::default(), reloads, shutdown.clone());
        let task = tokio::spawn(run);
        Self { address, reload, dir, args, shutdown, task }
    }

    /// A connection; made as soon as the port answers, which is queued by the listener meanwhile.
    pub(crate) fn channel(&self) -> Channel {
        Endpoint::try_from(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// Writes the file anew and has it read, as SIGHUP does.
    pub(crate) async fn reload(&self, yaml: &str) -> Result<(), config::ConfigError> {
        std::fs::write(self.args.config.as_ref().unwrap(), yaml).unwrap();
        self.reload.send(config::load(&self.args)?).await.unwrap();
        Ok(())
    }

    pub(crate) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        within(self.task).await.unwrap().unwrap();
        self.dir
    }
}

/// Awaits something that must happen.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

/// Asks again and again until the answer is the one waited for.
pub(crate) async fn until<T, F, Fut>(mut ask: F, good: impl Fn(&T) -> bool) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T>,
{
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    within(async {
        loop {
            ticks.tick().await;
            let answer = ask().await;
            if good(&answer) {
                return answer;
            }
        }
    })
    .await
}
