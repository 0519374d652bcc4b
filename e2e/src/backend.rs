//! Backends: test-backend as a process.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{Process, Program};

/// A running test-backend.
pub struct Backend {
    /// Its process.
    pub process: Process,
    address: SocketAddr,
}

impl Backend {
    /// Starts one on a free port; not on 127.0.0.1, where a client could be given the port of one that was killed.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_at("127.0.0.2:0").await
    }

    /// Starts one on a given address, for instance that of one that was killed.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_at(address: &str) -> Result<Self> {
        let mut process = Program::new("test-backend").args(["--listen", address]).start()?;
        let address = process.listening("backend").await?;
        Ok(Self { process, address })
    }

    /// Where it listens; also what its `X-Backend` says.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As the configuration names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
