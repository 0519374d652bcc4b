//! Two control planes on one PostgreSQL.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::{ConfigFile, ControlPlane, DataPlane, Database, Load, Setup, http, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_start_at_once_on_an_empty_database() -> Result<()> {
    let database = Database::postgres()?;
    let dir = tempfile::tempdir()?;
    let config = ConfigFile::new(database.url()).write(dir.path())?;
    let start = || ControlPlane::start(&config, None);
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    let planes = [a?, b?, c?, d?];
    for plane in &planes {
        plane.ready().await?;
    }
    planes[0].set_limit("alice", 3.0, 0.0).await?;
    for plane in &planes {
        assert_eq!(plane.rest("GET", "/limits/get?client_id=alice", "").await?.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_one_reaches_the_data_planes_of_the_other() -> Result<()> {
    let deployment = Setup::new(Database::postgres()?).backends(1).start().await?;
    let other = ControlPlane::start(&deployment.dir.path().join("config.yaml"), None).await?;
    let mut slowest = 0;
    for client in 0..10 {
        let revision = other.set_limit(&format!("client-{client}"), 3.0, 0.0).await?;
        let start = Instant::now();
        deployment.arrived(revision).await?;
        slowest = slowest.max(start.elapsed().as_millis());
    }
    println!("a change at the other control plane arrived within {slowest} ms");
    assert!(slowest < 5000);
    assert_eq!(deployment.control_plane.rest("GET", "/limits/get?client_id=client-9", "").await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_goes_over_to_the_second_when_the_first_is_killed() -> Result<()> {
    let mut deployment = Setup::new(Database::postgres()?).backends(1).data_planes(0).start().await?;
    let second = ControlPlane::start(&deployment.dir.path().join("config.yaml"), None).await?;
    let endpoints = [deployment.control_plane.endpoint(), second.endpoint()];
    let data_plane = DataPlane::start(DataPlane::program(&endpoints, &deployment.state_dir(0), None)).await?;
    data_plane.ready().await?;
    assert_eq!(replicas(&deployment.control_plane).await?, 1);
    let load = Load::start(data_plane.proxy(), 4, "/");
    deployment.control_plane.process.kill9()?;
    let start = Instant::now();
    let moved = async || replicas(&second).await.is_ok_and(|count| count == 1);
    wait::until_true("the data plane to come to the second", moved).await?;
    println!("went over after {} ms", start.elapsed().as_millis());
    data_plane.at_revision(second.set_limit("alice", 3.0, 0.0).await?).await?;
    load.proceed(100).await?;
    load.stop().await?.assert_all_served();
    let answer = http::send(data_plane.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!(answer.header("ratelimit"), r#""client";r=2"#);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_open_and_dead_is_left() -> Result<()> {
    let deployment = Setup::new(Database::postgres()?).backends(1).data_planes(0).start().await?;
    let second = ControlPlane::start(&deployment.dir.path().join("config.yaml"), None).await?;
    let endpoints = [deployment.control_plane.endpoint(), second.endpoint()];
    let data_plane = DataPlane::start(DataPlane::program(&endpoints, &deployment.state_dir(0), None)).await?;
    data_plane.ready().await?;
    let load = Load::start(data_plane.proxy(), 4, "/");
    deployment.control_plane.process.freeze()?;
    let start = Instant::now();
    wait::until_within(Duration::from_secs(40), "the data plane to come to the second", async || {
        replicas(&second).await.is_ok_and(|count| count == 1).then_some(())
    })
    .await?;
    println!("left a frozen control plane after {} ms", start.elapsed().as_millis());
    data_plane.at_revision(second.set_limit("alice", 3.0, 0.0).await?).await?;
    load.stop().await?.assert_all_served();
    Ok(())
}

async fn replicas(plane: &ControlPlane) -> Result<usize> {
    Ok(plane.status().await.context("status")?.replicas.len())
}
