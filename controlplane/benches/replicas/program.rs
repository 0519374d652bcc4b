//! The control plane that is measured: the real program, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use balancer_proto::v1::{ImportLimitsRequest, Limit, limit_service_client::LimitServiceClient};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

pub(crate) struct ControlPlane {
    process: Child,
    address: String,
    _dir: TempDir,
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let program = std::env::var("CONTROLPLANE").unwrap_or(env!("CARGO_BIN_EXE_controlplane").into());
        let mut process = Command::new(program)
            .current_dir(dir.path())
            .args(["--admin-port", "0", "--admin-max-connections", "2400", "--log-format", "json"])
            .args(["--database-url", "sqlite://balancer.db"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().unwrap().contains("\"listening\"")).unwrap().unwrap();
        let address = line.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
        let started = Self { process, address: format!("http://127.0.0.1:{address}"), _dir: dir };
        // A pipe that nobody empties would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        started
    }

    /// A connection of its own. A control plane that has just begun to listen may have its database still to open.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(self.address.clone()).unwrap().connect_timeout(Duration::from_secs(30));
        endpoint.connect().await.unwrap()
    }

    /// Proportional set size.
    pub(crate) fn memory_kib(&self) -> u64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sets this many limits.
pub(crate) async fn import(limits: &mut LimitServiceClient<Channel>, count: usize) {
    let limit = |number| Limit { client_id: format!("client-{number}"), capacity: Some(10.0), rate_per_sec: Some(1.0) };
    let batch = ImportLimitsRequest { limits: (0..count).map(limit).collect() };
    let batches: Vec<_> =
        batch.limits.chunks(5_000).map(|limits| ImportLimitsRequest { limits: limits.to_vec() }).collect();
    let mut stored = limits.import_limits(tokio_stream::iter(batches)).await.unwrap().into_inner();
    while stored.message().await.unwrap().is_some() {}
}
