//! A running control plane.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use balancer_proto::v1::{
    GetStatusRequest, Limit, SetLimitRequest, Status, limit_service_client::LimitServiceClient,
    status_service_client::StatusServiceClient,
};
use tonic::metadata::MetadataValue;

use crate::{
    Ctl, Metrics, Process, Program,
    http::{self, Answer},
    scrape, wait,
};

/// A control plane with the address of its admin port.
pub struct ControlPlane {
    /// Its process.
    pub process: Process,
    program: Program,
    token: Option<String>,
    address: SocketAddr,
}

impl ControlPlane {
    /// The program with a configuration file.
    pub fn program(config: &Path, token: Option<&str>) -> Program {
        let program = Program::new("controlplane").arg("--config").arg(config);
        match token {
            Some(token) => program.env("BALANCER_ADMIN_TOKEN", token),
            None => program,
        }
    }

    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(config: &Path, token: Option<&str>) -> Result<Self> {
        Self::start_program(Self::program(config, token), token).await
    }

    /// Starts one from a program made by [`program`](Self::program).
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_program(program: Program, token: Option<&str>) -> Result<Self> {
        let mut process = program.start()?;
        let address = process.listening("admin").await?;
        let program = program.args(["--admin-port".into(), address.port().to_string()]);
        Ok(Self { process, program, token: token.map(str::to_owned), address })
    }

    /// Starts it again on the same address, after it ended.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = self.program.start()?;
        self.address = self.process.listening("admin").await?;
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As data planes and the CLI name it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The CLI, pointed here.
    pub fn ctl(&self) -> Ctl {
        Ctl::new(&self.endpoint(), self.token.as_deref())
    }

    /// Waits until it can do its work.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn ready(&self) -> Result<()> {
        wait::until_true("the control plane to be ready", async || self.readyz().await == Some(200)).await.map(drop)
    }

    /// Status of `/readyz`; `None` if nobody answers.
    pub async fn readyz(&self) -> Option<u16> {
        http::get(self.address, "/readyz").await.ok().map(|answer| answer.status)
    }

    /// A REST call with a JSON body; an empty one is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn rest(&self, method: &str, target: &str, body: &str) -> Result<Answer> {
        let bearer = self.token.as_deref().map(|token| format!("Bearer {token}"));
        let mut headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        http::send(self.address, method, target, &headers, body.to_owned()).await
    }

    /// Creates or changes a limit; returns the revision that holds it.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn set_limit(&self, client: &str, capacity: f64, rate_per_sec: f64) -> Result<u64> {
        let limit = Limit { client_id: client.into(), capacity: Some(capacity), rate_per_sec: Some(rate_per_sec) };
        let call = async {
            let mut service = LimitServiceClient::connect(self.endpoint()).await?;
            let request = self.authorized(SetLimitRequest { limit: Some(limit) })?;
            anyhow::Ok(service.set_limit(request).await?.into_inner().revision)
        };
        wait::bounded("SetLimit", call).await?
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<Status> {
        wait::bounded("GetStatus", self.ask_status()).await?
    }

    async fn ask_status(&self) -> Result<Status> {
        let mut client = StatusServiceClient::connect(self.endpoint()).await?;
        let request = self.authorized(GetStatusRequest {})?;
        client.get_status(request).await?.into_inner().status.context("a status is set")
    }

    fn authorized<T>(&self, message: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {token}"))?);
        }
        Ok(request)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it has none to give.
    pub async fn metrics(&self) -> Result<Metrics> {
        scrape(self.address, self.token.as_deref()).await
    }
}
