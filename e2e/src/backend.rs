//! Backends: test-backend as a process.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{Authority, Process, Program};

/// A running test-backend.
pub struct Backend {
    /// Its process.
    pub process: Process,
    program: Program,
    address: SocketAddr,
    scheme: &'static str,
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
        Self::start_program(Program::new("test-backend"), "http", address).await
    }

    /// Starts one on 127.0.0.2 that speaks TLS with a certificate for `host`, valid until `until_year`, and these
    /// versions of HTTP, as its `--http` names them.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_tls(authority: &Authority, (host, until_year): (&str, i32), versions: &str) -> Result<Self> {
        let (cert, key) = authority.issue(host, until_year)?;
        let program = Program::new("test-backend").args(["--http", versions]);
        let program = program.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        Self::start_program(program, "https", "127.0.0.2:0").await
    }

    /// Starts one that speaks HTTP/2 without TLS.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_h2c() -> Result<Self> {
        Self::start_program(Program::new("test-backend").args(["--http", "2"]), "h2c", "127.0.0.2:0").await
    }

    async fn start_program(program: Program, scheme: &'static str, address: &str) -> Result<Self> {
        let mut process = program.clone().args(["--listen", address]).start()?;
        let address = process.listening("backend").await?;
        Ok(Self { process, program, address, scheme })
    }

    /// Starts it again on the same address, after it ended.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = self.program.clone().args(["--listen".into(), self.address.to_string()]).start()?;
        self.process.listening("backend").await.map(drop)
    }

    /// Where it listens; also what its `X-Backend` says.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As the configuration names it.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}
