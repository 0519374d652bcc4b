//! Backends with `https://`: they answer when they are who they should be, and nobody else does.

use std::fs;

use anyhow::Result;
use balancer_proto::v1::Health;
use e2e::{Authority, Backend, Database, Deployment, Setup, http, raw::Raw, wait};
use hyper::StatusCode;

const OURS: (&str, i32) = ("127.0.0.2", 2999);

async fn in_front_of(backends: &[&Backend], config_line: &str) -> Result<Deployment> {
    let mut setup = Setup::new(Database::sqlite()?).config_line(config_line);
    for backend in backends {
        setup = setup.backend_url(backend.url());
    }
    setup.start().await
}

/// Without checks the data plane must find out for itself.
async fn on_its_own(deployment: &mut Deployment) -> Result<()> {
    deployment.control_plane.process.kill9()?;
    let alone = async || deployment.data_planes[0].metric("balancer_sync_connected").await == Some(0.0);
    wait::until_true("the data plane to be on its own", alone).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_backend_answers_over_tls() -> Result<()> {
    let authority = Authority::new("ours")?;
    let backend = Backend::start_tls(&authority, OURS, "both").await?;
    let deployment = in_front_of(&[&backend], &authority.config_line()).await?;
    deployment.backend_is(&backend.url(), Health::Healthy).await?;
    let proxy = deployment.data_plane()?.proxy();
    for body in ["", "hello"] {
        let answer = http::send(proxy, "POST", "/a%2Fb?c", &[], body).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json()?;
        assert_eq!((&told["target"], &told["body"]), (&"/a%2Fb?c".into(), &body.into()));
    }
    assert_eq!(http::get(proxy, "/bytes/1000000").await?.body.len(), 1_000_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_goes_through_tls() -> Result<()> {
    let authority = Authority::new("ours")?;
    let backend = Backend::start_tls(&authority, OURS, "both").await?;
    let deployment = in_front_of(&[&backend], &authority.config_line()).await?;
    let mut client = Raw::connect(deployment.data_plane()?.proxy()).await?;
    client.send("GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await?;
    assert_eq!(client.head().await?.status(), 101);
    client.send("over and over").await?;
    assert_eq!(client.bytes(13).await?, b"over and over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_no_request_and_both_planes_say_why() -> Result<()> {
    let (ours, another) = (Authority::new("ours")?, Authority::new("another")?);
    for (issuer, certificate, why) in [
        (&another, OURS, "UnknownIssuer"),
        (&ours, ("elsewhere.test", 2999), "not valid for name"),
        (&ours, ("127.0.0.2", 2001), "expired"),
    ] {
        let stranger = Backend::start_tls(issuer, certificate, "both").await?;
        let mut deployment = in_front_of(&[&stranger], &ours.config_line()).await?;
        let reason = deployment.backend_is(&stranger.url(), Health::Unhealthy).await?;
        assert!(reason.contains(why), "{reason}");
        on_its_own(&mut deployment).await?;
        http::get(deployment.data_plane()?.proxy(), "/").await?.problem(StatusCode::SERVICE_UNAVAILABLE)?;
        let line = deployment.data_plane()?.process.logged("backend refused").await?;
        assert!(line.contains(why) && line.contains(&stranger.url()), "{line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_meets_a_stranger_goes_to_another_backend() -> Result<()> {
    let (ours, another) = (Authority::new("ours")?, Authority::new("another")?);
    let good = Backend::start_tls(&ours, OURS, "both").await?;
    let stranger = Backend::start_tls(&another, OURS, "both").await?;
    let mut deployment = in_front_of(&[&stranger, &good], &ours.config_line()).await?;
    on_its_own(&mut deployment).await?;
    for _ in 0..20 {
        let answer = http::send(deployment.data_plane()?.proxy(), "POST", "/", &[], "paid once").await?;
        assert_eq!((answer.status, answer.header("x-backend")), (200, good.address().to_string().as_str()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_authorities_hold_without_a_restart_and_without_a_control_plane() -> Result<()> {
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let backend = Backend::start_tls(&new, OURS, "both").await?;
    let mut deployment = in_front_of(&[&backend], &old.config_line()).await?;
    deployment.backend_is(&backend.url(), Health::Unhealthy).await?;
    fs::copy(new.file(), old.file())?;
    deployment.control_plane.process.sighup()?;
    deployment.backend_is(&backend.url(), Health::Healthy).await?;
    let served = async |deployment: &Deployment| {
        http::get(deployment.data_planes[0].proxy(), "/").await.is_ok_and(|answer| answer.status == 200)
    };
    wait::until_true("the backend to be believed", async || served(&deployment).await).await?;
    deployment.control_plane.process.kill9()?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
    deployment.data_planes[0].start_again().await?;
    deployment.data_plane()?.ready().await?;
    assert!(served(&deployment).await, "the saved snapshot knows the authorities");
    Ok(())
}
