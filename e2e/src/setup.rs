//! Both planes and their surroundings in one call.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Backend, ConfigFile, ControlPlane, DataPlane, Database, Load, wait};

/// What to start.
pub struct Setup {
    database: Database,
    config: ConfigFile,
    backends: usize,
    data_planes: usize,
    token: Option<String>,
    data_plane_args: Vec<String>,
}

/// What runs. Dropped from the clients' side to the database, so that no plane has reason to complain.
pub struct Deployment {
    /// Data planes, all ready.
    pub data_planes: Vec<DataPlane>,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// test-backend processes, in the order of the configuration.
    pub backends: Vec<Backend>,
    /// The database.
    pub database: Database,
    /// What is in the configuration file.
    pub config: ConfigFile,
    /// Where the configuration file and the state directories are.
    pub dir: TempDir,
}

impl Setup {
    /// One control plane and one data plane, no backend, no default limit.
    pub fn new(database: Database) -> Self {
        let config = ConfigFile::new(database.url());
        Self { database, config, backends: 0, data_planes: 1, token: None, data_plane_args: Vec::new() }
    }

    /// Adds test-backend processes.
    pub fn backends(mut self, count: usize) -> Self {
        self.backends = count;
        self
    }

    /// Adds a backend that somebody else runs.
    pub fn backend_url(mut self, url: String) -> Self {
        self.config.backend_urls.push(url);
        self
    }

    /// Sets the number of data planes.
    pub fn data_planes(mut self, count: usize) -> Self {
        self.data_planes = count;
        self
    }

    /// Sets `default_limits`: a mapping in braces.
    pub fn default_limits(mut self, yaml: &str) -> Self {
        self.config.default_limits = yaml.into();
        self
    }

    /// Adds lines to the configuration.
    pub fn config_line(mut self, yaml: &str) -> Self {
        self.config.more.push_str(yaml);
        self.config.more.push('\n');
        self
    }

    /// Protects the control plane by a token.
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Adds a flag to all data planes.
    pub fn data_plane_arg(mut self, arg: &str) -> Self {
        self.data_plane_args.push(arg.into());
        self
    }

    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start(self) -> Result<Deployment> {
        let Self { database, mut config, backends: count, data_planes: planes, token, data_plane_args } = self;
        let mut backends = Vec::new();
        for _ in 0..count {
            backends.push(Backend::start().await?);
        }
        config.backend_urls.extend(backends.iter().map(Backend::url));
        let dir = tempfile::tempdir()?;
        let control_plane = ControlPlane::start(&config.write(dir.path())?, token.as_deref()).await?;
        let mut data_planes = Vec::new();
        for index in 0..planes {
            let endpoints = [control_plane.endpoint()];
            let program = DataPlane::program(&endpoints, &state_dir(dir.path(), index), token.as_deref());
            data_planes.push(DataPlane::start(program.args(&data_plane_args)).await?);
        }
        let deployment = Deployment { data_planes, control_plane, backends, database, config, dir };
        deployment.ready().await?;
        Ok(deployment)
    }
}

impl Deployment {
    /// The first data plane.
    ///
    /// # Errors
    /// When there is none.
    pub fn data_plane(&self) -> Result<&DataPlane> {
        self.data_planes.first().context("there is a data plane")
    }

    /// Where the data plane with this index keeps its snapshot; also for one that the story starts itself.
    pub fn state_dir(&self, index: usize) -> PathBuf {
        state_dir(self.dir.path(), index)
    }

    /// Puts load on the first data plane and waits until it flows.
    ///
    /// # Errors
    /// When it does not.
    pub async fn load(&self, connections: usize) -> Result<Load> {
        let load = Load::start(self.data_plane()?.proxy(), connections, "/");
        load.proceed(connections as u64 * 4).await?;
        Ok(load)
    }

    /// Sets a limit and waits until all data planes have it.
    ///
    /// # Errors
    /// When it is refused or does not arrive.
    pub async fn set_limit(&self, client: &str, capacity: f64, rate_per_sec: f64) -> Result<()> {
        self.arrived(self.control_plane.set_limit(client, capacity, rate_per_sec).await?).await
    }

    /// Waits until all data planes have everything that was acknowledged so far. Leaves a limit of the client `marker`
    /// behind: what comes after a change, comes after it everywhere.
    ///
    /// # Errors
    /// When they do not get there.
    pub async fn settled(&self) -> Result<()> {
        self.set_limit("marker", 1.0, 0.0).await
    }

    /// Waits until all data planes serve a revision of at least `revision`.
    ///
    /// # Errors
    /// When they do not get there.
    pub async fn arrived(&self, revision: u64) -> Result<()> {
        for data_plane in &self.data_planes {
            data_plane.at_revision(revision).await?;
        }
        Ok(())
    }

    /// Waits until a backend's health is `health`, and returns how the reason reads.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn backend_is(&self, url: &str, health: balancer_proto::v1::Health) -> Result<String> {
        wait::until(&format!("{url} to become {health:?}"), async || {
            let status = self.control_plane.status().await.ok()?;
            let of_url = |b: &&balancer_proto::v1::BackendStatus| b.backend.as_ref().is_some_and(|b| b.url == url);
            let found = status.backends.iter().find(of_url)?;
            (found.health() == health).then(|| found.reason.clone())
        })
        .await
    }

    async fn ready(&self) -> Result<()> {
        self.control_plane.ready().await?;
        for data_plane in &self.data_planes {
            data_plane.ready().await?;
        }
        self.arrived(self.control_plane.status().await?.revision).await
    }
}

fn state_dir(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("state-{index}"))
}
