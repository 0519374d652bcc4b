//! gRPC through the proxy: a control plane is the backend, and its own clients are the callers.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use balancer_proto::v1::{
    GetLimitRequest, GetStatusRequest, Health, Limit, SetLimitRequest, WatchStatusRequest,
    limit_service_client::LimitServiceClient, status_service_client::StatusServiceClient,
};
use e2e::{Authority, ConfigFile, ControlPlane, Ctl, DataPlane, Database, Deployment, Process, Setup, wait};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

/// A control plane behind a proxy that another one configures.
struct Behind {
    front: Deployment,
    inner: ControlPlane,
    _dir: TempDir,
    _database: Database,
}

impl Behind {
    async fn start(setup: Setup) -> Result<Self> {
        let (dir, database) = (tempfile::tempdir()?, Database::sqlite()?);
        let inner = ControlPlane::start(&ConfigFile::new(database.url()).write(dir.path())?, None).await?;
        let front = setup.start().await?;
        let url = format!("h2c://{}", inner.address());
        front.control_plane.ctl().run(&["backends", "add", &url, "--health-path", "/healthz"]).await?;
        front.backend_is(&url, Health::Healthy).await?;
        front.settled().await?;
        Ok(Self { front, inner, _dir: dir, _database: database })
    }

    fn proxy(&self) -> Result<SocketAddr> {
        Ok(self.front.data_plane()?.proxy())
    }

    fn endpoint(&self) -> Result<String> {
        Ok(format!("http://{}", self.proxy()?))
    }

    async fn channel(&self) -> Result<Channel> {
        Ok(wait::bounded("the proxy to be connected to", Endpoint::try_from(self.endpoint()?)?.connect()).await??)
    }
}

fn front() -> Result<Setup> {
    Ok(Setup::new(Database::sqlite()?))
}

async fn set(channel: Channel, client_id: &str) -> Result<u64, Status> {
    let limit = Limit { client_id: client_id.into(), capacity: Some(5.0), rate_per_sec: Some(1.0) };
    let request = SetLimitRequest { limit: Some(limit) };
    Ok(LimitServiceClient::new(channel).set_limit(request).await?.into_inner().revision)
}

async fn get(channel: Channel, client_id: &str) -> Result<Limit, Status> {
    let request = GetLimitRequest { client_id: client_id.into() };
    Ok(LimitServiceClient::new(channel).get_limit(request).await?.into_inner().limit.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cli_works_through_the_proxy() -> Result<()> {
    let behind = Behind::start(front()?).await?;
    let ctl = Ctl::new(&behind.endpoint()?, None);
    ctl.run(&["limits", "set", "alice", "--capacity", "10", "--rate", "2"]).await?;
    assert_eq!(ctl.json(&["limits", "get", "alice"]).await?["capacity"], 10);
    // A stream from the client.
    let file = behind.front.dir.path().join("limits.csv");
    let rows: String = (0..2000).map(|n| format!("client-{n},5,1\n")).collect();
    fs::write(&file, format!("client_id,capacity,rate_per_sec\n{rows}"))?;
    ctl.run(&["limits", "import", &file.display().to_string()]).await?;
    let listed = ctl.json(&["limits", "list"]).await?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2001));
    // An error is an answer that is all trailers.
    let unknown = ctl.call(&["limits", "get", "nobody"]).await?;
    assert!(unknown.code == 1 && unknown.stderr.contains("nobody"), "{unknown:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_errors_pass_as_they_are() -> Result<()> {
    let behind = Behind::start(front()?).await?;
    let channel = behind.channel().await?;
    let mut watch = StatusServiceClient::new(channel.clone());
    let mut pictures = watch.watch_status(WatchStatusRequest { interval_ms: 100 }).await?.into_inner();
    for _ in 0..3 {
        assert!(wait::bounded("a picture", pictures.message()).await??.is_some());
    }
    let unknown = get(channel.clone(), "nobody").await.expect_err("nobody has a limit");
    assert_eq!(unknown.code(), Code::NotFound);
    let direct =
        get(Endpoint::try_from(behind.inner.endpoint())?.connect().await?, "nobody").await.expect_err("nobody");
    assert_eq!(unknown.message(), direct.message());
    let revision = set(channel.clone(), "alice").await?;
    assert!(revision > 0 && get(channel, "alice").await?.capacity == Some(5.0));
    Ok(())
}

/// How many data planes the inner control plane knows.
async fn replicas(behind: &Behind) -> Option<usize> {
    behind.inner.status().await.ok().map(|status| status.replicas.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_follows_its_control_plane_through_the_proxy() -> Result<()> {
    let behind = Behind::start(front()?).await?;
    let dir = tempfile::tempdir()?;
    let mut follower = DataPlane::start(DataPlane::program(&[behind.endpoint()?], dir.path(), None)).await?;
    follower.ready().await?;
    let revision = behind.inner.set_limit("alice", 7.0, 1.0).await?;
    follower.at_revision(revision).await?;
    assert_eq!(replicas(&behind).await, Some(1));
    // Its stream ends at the backend when it is gone.
    follower.process.kill9()?;
    wait::until_true("the stream to end", async || replicas(&behind).await == Some(0)).await?;
    Ok(())
}

/// Waits until so many calls are in flight at the inner control plane.
async fn in_flight(behind: &Behind, calls: u32) -> Result<()> {
    let sample = format!(r#"balancer_backend_in_flight{{backend="h2c://{}"}}"#, behind.inner.address());
    let data_plane = behind.front.data_plane()?;
    let reached = async || data_plane.metric(&sample).await == Some(f64::from(calls));
    wait::until_true(&format!("{calls} calls to be in flight"), reached).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_up_ends_the_call_at_the_backend() -> Result<()> {
    let behind = Behind::start(front()?).await?;
    let channel = behind.channel().await?;
    let mut status = StatusServiceClient::new(channel.clone());
    let mut pictures = status.watch_status(WatchStatusRequest { interval_ms: 60_000 }).await?.into_inner();
    assert!(pictures.message().await?.is_some());
    in_flight(&behind, 1).await?;
    drop(pictures);
    in_flight(&behind, 0).await?;
    behind.inner.process.freeze()?;
    let mut hurried = Request::new(GetStatusRequest {});
    hurried.set_timeout(Duration::from_millis(300));
    let late = status.get_status(hurried).await.expect_err("nobody answers");
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    in_flight(&behind, 0).await?;
    behind.inner.process.thaw()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_proxy_says_itself_is_a_status_of_grpc() -> Result<()> {
    let mut behind = Behind::start(front()?.default_limits("{ capacity: 2, rate_per_sec: 0 }")).await?;
    let channel = behind.channel().await?;
    let mut status = StatusServiceClient::new(channel.clone());
    let admitted = status.get_status(GetStatusRequest {}).await?;
    assert!(admitted.metadata().contains_key("ratelimit"), "{admitted:?}");
    status.get_status(GetStatusRequest {}).await?;
    let refused = status.get_status(GetStatusRequest {}).await.expect_err("over the limit");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("over its limit"), "{refused:?}");
    let told = |name: &str| refused.metadata().contains_key(name);
    assert!(told("retry-after") && told("ratelimit") && told("ratelimit-policy") && told("x-request-id"));
    behind.front.set_limit("127.0.0.1", 1000.0, 0.0).await?;
    behind.inner.process.kill9()?;
    let gone = status.get_status(GetStatusRequest {}).await.expect_err("the backend is gone");
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    Ok(())
}

async fn start_inner_with_tls(authority: &Authority, dir: &Path, database: &Database) -> Result<(Process, SocketAddr)> {
    let (cert, key) = authority.issue("127.0.0.2", 2999)?;
    let config = ConfigFile::new(database.url()).write(dir)?;
    let program = ControlPlane::program(&config, None);
    let mut inner = program.arg("--admin-tls-cert").arg(cert).arg("--admin-tls-key").arg(key).start()?;
    let address = inner.listening("admin").await?;
    Ok((inner, address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_on_both_sides_of_the_proxy() -> Result<()> {
    let (authority, dir, database) = (Authority::new("ours")?, tempfile::tempdir()?, Database::sqlite()?);
    let (_inner, address) = start_inner_with_tls(&authority, dir.path(), &database).await?;
    let (cert, key) = authority.issue("localhost", 2999)?;
    let front = front()?.config_line(&authority.config_line());
    let front = front.data_plane_arg("--tls-cert").data_plane_arg(&cert.display().to_string());
    let front = front.data_plane_arg("--tls-key").data_plane_arg(&key.display().to_string()).start().await?;
    let url = format!("https://{address}");
    front.control_plane.ctl().run(&["backends", "add", &url, "--health-path", "/healthz"]).await?;
    front.backend_is(&url, Health::Healthy).await?;
    front.settled().await?;
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(authority.file())?));
    let proxy = format!("https://localhost:{}", front.data_plane()?.proxy().port());
    let channel =
        Endpoint::try_from(proxy.clone())?.tls_config(trusting)?.connect().await.context("TLS to the proxy")?;
    assert!(set(channel.clone(), "alice").await? > 0);
    assert_eq!(get(channel, "alice").await?.capacity, Some(5.0));
    let ca = authority.file().display().to_string();
    let listed = Ctl::new(&proxy, None).json(&["limits", "list", "--ca", &ca]).await?;
    assert_eq!(listed[0]["client_id"], "alice");
    Ok(())
}
