//! Everything starts at once, after a power cut say, and the database last.

use anyhow::Result;
use e2e::{ControlPlane, DataPlane, Database, Setup, http, wait};
use hyper::StatusCode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planes_that_start_before_the_database_become_ready_by_themselves() -> Result<()> {
    let mut deployment = Setup::new(Database::postgres()?).backends(1).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0, "it saves its snapshot");
    deployment.control_plane.process.kill9()?;
    deployment.database.cluster()?.kill()?;

    deployment.control_plane.start_again().await?;
    let control_plane = &deployment.control_plane;
    let waiting = http::get(control_plane.address(), "/readyz").await?;
    let reason = waiting.problem(StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(reason.starts_with("the database does not answer: "), "{reason}");
    assert_eq!(http::get(control_plane.address(), "/healthz").await?.status, 200);
    let rest = control_plane.rest("GET", "/limits/get?client_id=alice", "").await?;
    assert_eq!((rest.status, rest.header("retry-after")), (503, "1"));
    let ctl = control_plane.ctl().call(&["status"]).await?;
    assert!(ctl.code == 1 && ctl.stderr.contains("the database does not answer"), "{ctl:?}");

    deployment.data_planes[0].start_again().await?;
    deployment.data_planes[0].ready().await?;
    let limited = http::send(deployment.data_planes[0].proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!(limited.status, 200, "it serves what it has saved");
    let stranger = DataPlane::program(&[control_plane.endpoint()], &deployment.state_dir(1), None);
    deployment.data_planes.push(DataPlane::start(stranger).await?);
    assert_eq!(http::get(deployment.data_planes[1].admin(), "/readyz").await?.status, 503, "it has nothing");

    deployment.database.cluster()?.start_again()?;
    deployment.control_plane.ready().await?;
    deployment.control_plane.process.logged("the database answers").await?;
    deployment.data_planes[1].ready().await?;
    deployment.settled().await?;
    let told = deployment.control_plane.process.logs();
    let told: Vec<_> = told.iter().filter(|line| line.contains("waiting for the database")).collect();
    // While the server recovers it has a reason of its own.
    assert!((1..=4).contains(&told.len()), "one line per reason: {told:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_wait() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = e2e::ConfigFile::new("postgres://127.0.0.1:1/b".into()).write(dir.path())?;
    let mut control_plane = ControlPlane::start(&config, None).await?;
    wait::until_true("readyz to say 503", async || control_plane.readyz().await == Some(503)).await?;
    let asked = std::time::Instant::now();
    control_plane.process.sigterm()?;
    assert_eq!(control_plane.process.exit_code().await?, 0);
    assert!(asked.elapsed().as_secs() < 3, "{:?}", asked.elapsed());
    Ok(())
}
