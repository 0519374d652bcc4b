//! A running data plane.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;

use crate::{Metrics, Process, Program, scrape, wait};

/// A data plane with the addresses of its two ports.
pub struct DataPlane {
    /// Its process.
    pub process: Process,
    program: Program,
    proxy: SocketAddr,
    admin: SocketAddr,
}

impl DataPlane {
    /// The program, following the control planes at `endpoints`.
    pub fn program(endpoints: &[String], state_dir: &Path, token: Option<&str>) -> Program {
        let program = Program::new("dataplane")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--threads", "2"])
            .args(endpoints.iter().flat_map(|endpoint| ["--control-plane", endpoint]))
            .arg("--state-dir")
            .arg(state_dir);
        match token {
            Some(token) => program.env("BALANCER_TOKEN", token),
            None => program,
        }
    }

    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(program: Program) -> Result<Self> {
        let mut process = program.start()?;
        let (proxy, admin) = (process.listening("proxy").await?, process.listening("admin").await?);
        Ok(Self { process, program, proxy, admin })
    }

    /// Starts it again after it ended, on new ports, with the same state directory.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = self.program.start()?;
        self.proxy = self.process.listening("proxy").await?;
        self.admin = self.process.listening("admin").await?;
        Ok(())
    }

    /// Where it serves clients.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Where it serves operators.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until it holds a snapshot.
    ///
    /// # Errors
    /// When it gets none.
    pub async fn ready(&self) -> Result<()> {
        let look = async || crate::http::get(self.admin, "/readyz").await.is_ok_and(|answer| answer.status == 200);
        wait::until_true("the data plane to be ready", look).await.map(drop)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it has none to give.
    pub async fn metrics(&self) -> Result<Metrics> {
        scrape(self.admin, None).await
    }

    /// The value of one sample; `None` if there is none.
    pub async fn metric(&self, sample: &str) -> Option<f64> {
        self.metrics().await.ok()?.get(sample)
    }

    /// Waits until it serves a revision of at least `revision`.
    ///
    /// # Errors
    /// When it does not arrive.
    pub async fn at_revision(&self, revision: u64) -> Result<()> {
        wait::until_true(&format!("revision {revision} to arrive"), async || {
            self.metric("balancer_snapshot_revision").await.is_some_and(|held| held >= revision as f64)
        })
        .await
        .map(drop)
    }
}
