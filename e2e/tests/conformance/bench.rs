//! The planes in front of a recording backend.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use e2e::{
    Database, Deployment, Setup,
    raw::{Bytes, Raw},
};
use tokio::net::TcpStream;

use crate::{
    case::{Case, final_head},
    frames::Http2,
    recorder::Recorder,
    tls::Tls,
};

/// Another request, to see whether a connection still takes one.
const PROBE: &str = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";

/// Real planes, and a backend that sees every byte.
pub(crate) struct Bench {
    /// The backend.
    pub(crate) recorder: Recorder,
    /// Where clients connect to.
    pub(crate) proxy: SocketAddr,
    /// The planes.
    pub(crate) deployment: Deployment,
    /// Clients speak TLS.
    tls: Option<Tls>,
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// One that is spoken to plainly, and one through TLS.
    pub(crate) async fn both() -> Result<[Self; 2]> {
        Ok([Self::start().await?, Self::start_tls(&[]).await?])
    }

    /// Clients speak TLS.
    pub(crate) async fn start_tls(args: &[&str]) -> Result<Self> {
        let tls = Tls::new()?;
        let files = tls.args()?;
        let args: Vec<_> = files.iter().map(String::as_str).chain(args.iter().copied()).collect();
        Ok(Self { tls: Some(tls), ..Self::start_with(&args).await? })
    }

    /// With further flags for the data plane.
    pub(crate) async fn start_with(args: &[&str]) -> Result<Self> {
        Self::of(Setup::new(Database::sqlite()?), args).await
    }

    /// With other settings.
    pub(crate) async fn of(setup: Setup, args: &[&str]) -> Result<Self> {
        let recorder = Recorder::start().await?;
        let url = recorder.url();
        Self::over(recorder, setup.backend_url(url), args).await
    }

    /// In front of another backend; the recorder gets nothing.
    pub(crate) async fn in_front_of(setup: Setup, url: String) -> Result<Self> {
        Self::over(Recorder::start().await?, setup.backend_url(url), &[]).await
    }

    async fn over(recorder: Recorder, setup: Setup, args: &[&str]) -> Result<Self> {
        let deployment = args.iter().fold(setup, |setup, arg| setup.data_plane_arg(arg)).start().await?;
        let proxy = deployment.data_plane()?.proxy();
        Ok(Self { recorder, proxy, deployment, tls: None })
    }

    /// Plays all cases and complains of all that are not as they must be.
    pub(crate) async fn play(&self, cases: &[Case]) {
        let mut complaints = Vec::new();
        for case in cases {
            complaints.extend(case.complaint(self).await);
        }
        println!("{} cases", cases.len());
        assert!(complaints.is_empty(), "{} of {} cases:\n  {}", complaints.len(), cases.len(), complaints.join("\n  "));
    }

    /// A connection to the proxy.
    pub(crate) async fn connect(&self) -> Result<Raw> {
        Ok(Raw::over(self.bytes(b"http/1.1").await?))
    }

    /// A connection to the proxy that HTTP/2 is spoken on.
    pub(crate) async fn connect_http2(&self) -> Result<Http2> {
        Http2::begin(self.bytes(b"h2").await?).await
    }

    /// A connection to the proxy, with this as the protocol where it speaks TLS.
    pub(crate) async fn bytes(&self, alpn: &[u8]) -> Result<Box<dyn Bytes>> {
        let stream = TcpStream::connect(self.proxy).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.connect(stream, alpn).await?)),
        }
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The connection has ended without another byte.
    pub(crate) async fn closed(&self, raw: &mut Raw) -> Result<()> {
        // A reset ends it as well.
        let rest = raw.rest().await;
        let in_vain = rest.as_ref().is_err_and(|error| error.to_string().contains("no end within"));
        ensure!(!in_vain, "the connection stays open");
        let rest = rest.unwrap_or_default();
        ensure!(rest.is_empty(), "more is said: {:?}", String::from_utf8_lossy(&rest));
        Ok(())
    }

    /// The connection takes another request.
    pub(crate) async fn open(&self, raw: &mut Raw) -> Result<()> {
        raw.send(PROBE).await.context("probe")?;
        let head = final_head(raw).await.context("the connection should be open")?;
        let body = raw.body(&head).await?;
        ensure!(head.status() == 200 && body == b"ok", "the probe got {head:?} {:?}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// A new client is served.
    pub(crate) async fn serves(&self) -> Result<()> {
        self.open(&mut self.connect().await?).await
    }

    /// Memory of the data plane that is really there, bytes.
    pub(crate) fn resident_bytes(&self) -> Result<usize> {
        self.memory("VmRSS:")
    }

    /// The most that ever was, bytes.
    pub(crate) fn peak_bytes(&self) -> Result<usize> {
        self.memory("VmHWM:")
    }

    fn memory(&self, label: &'static str) -> Result<usize> {
        let status = fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix(label)).context(label)?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<usize>()? << 10)
    }

    /// Open file descriptors of the data plane.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd")?)?.count())
    }

    /// Processor time the data plane has used, ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(self.proc("stat")?)?;
        let after_name = stat.rsplit_once(')').context("a name in brackets")?.1;
        let numbers = after_name.split_whitespace().skip(11).take(2);
        numbers.map(|n| n.parse::<u64>().context("a number")).sum()
    }

    /// Lines the data plane has logged.
    pub(crate) fn log_lines(&self) -> Result<usize> {
        Ok(self.deployment.data_plane()?.process.logs().len())
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(format!("/proc/{}/{file}", self.deployment.data_plane()?.process.id()))
    }
}
