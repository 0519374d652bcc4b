//! A throw-away PostgreSQL cluster for tests, made from the server binaries installed on the machine.
//!
//! It listens on 127.0.0.1, trusts everybody, writes through to disk (fsync on), can be killed and started again, and
//! is gone with the process that made it, however that ends.

mod binaries;
mod guard;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tempfile::TempDir;

use binaries::Binaries;
use guard::Guard;
use server::Server;

/// How a cluster differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Offer TLS with this certificate chain and key, both PEM texts.
    pub tls: Option<(String, String)>,
    /// Lines added to `postgresql.conf`.
    pub settings: Vec<String>,
    /// Lines of `pg_hba.conf`; none: everybody is trusted.
    pub hba: Vec<String>,
}

/// A PostgreSQL cluster of its own; it ends when this is dropped.
pub struct Cluster {
    binaries: Binaries,
    server: Option<Server>,
    port: u16,
    databases_made: AtomicU64,
    /// Declared after the server, so that it watches until the server is gone.
    guard: Guard,
    directory: TempDir,
}

/// How many ports are tried. Another process can take one between the look and PostgreSQL's bind.
const PORTS_TRIED: usize = 20;

impl Cluster {
    /// Makes and starts a cluster; on return it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::default())
    }

    /// Like [`Cluster::start`], with options.
    pub fn start_with(options: &Options) -> Result<Self> {
        let binaries = Binaries::find()?;
        let directory = tempfile::Builder::new().prefix("balancer-postgres-").tempdir()?;
        binaries.own(directory.path())?;
        let data = directory.path().join("data");
        let encoding = ["-E", "UTF8", "--locale=C", "-A", "trust", "-U", "postgres"];
        binaries.run("initdb", encoding.iter().copied().chain(["--no-sync", "-D", path_text(&data)?]))?;
        configure(&binaries, &data, options)?;
        let guard = Guard::watch(directory.path())?;
        let (port, server) = first_start(&binaries, &data)?;
        Ok(Self { binaries, server: Some(server), port, databases_made: AtomicU64::new(0), guard, directory })
    }

    /// URL of the database `postgres`, as its superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database, UTF-8, and answers its URL.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases_made.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        Ok(self.url_of(&name))
    }

    /// Runs SQL in the database `postgres`, each statement in a transaction of its own.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let url = self.url();
        self.binaries.run("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
    }

    /// Kills every process of the cluster at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Stops the cluster, breaking connections but losing nothing.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |server| server.stop())
    }

    /// Stops every process where it is (SIGSTOP): connections stay open, and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.server.as_ref().map_or(Ok(()), Server::pause)
    }

    /// Goes on after [`Cluster::pause`].
    pub fn resume(&self) -> Result<()> {
        self.server.as_ref().map_or(Ok(()), Server::resume)
    }

    /// Starts a killed or stopped cluster on the same data and port.
    pub fn start_again(&mut self) -> Result<()> {
        self.kill()?;
        self.server = Some(Server::start(&self.binaries, &self.data(), self.port)?);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody is left to tell; the guard tries again.
        let _ = self.kill();
        self.guard.dismiss();
    }
}

fn configure(binaries: &Binaries, data: &Path, options: &Options) -> Result<()> {
    let mut settings = vec!["max_connections = 300".to_owned()];
    settings.extend(options.settings.iter().cloned());
    if let Some((certificate, key)) = &options.tls {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            binaries.write_private(&data.join(name), text)?;
        }
        settings.push("ssl = on".into());
    }
    if !options.hba.is_empty() {
        fs::write(data.join("pg_hba.conf"), options.hba.join("\n") + "\n").context("pg_hba.conf")?;
    }
    let file = data.join("postgresql.conf");
    let mut text = fs::read_to_string(&file)?;
    for setting in settings {
        text.push_str(&setting);
        text.push('\n');
    }
    fs::write(&file, text).context("postgresql.conf")
}

/// Finds a free port below the range the kernel gives to outgoing connections, so that it is free again after a kill.
fn first_start(binaries: &Binaries, data: &Path) -> Result<(u16, Server)> {
    let mut last = anyhow::anyhow!("no port between 20000 and 32000 is free");
    for _ in 0..PORTS_TRIED {
        let port = server::free_port()?;
        match Server::start(binaries, data, port) {
            Ok(server) => return Ok((port, server)),
            Err(error) if error.to_string().contains("could not bind") => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
