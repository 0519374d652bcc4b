//! The control plane or its database is gone: not one failed request, and what changed meanwhile arrives afterwards.

use std::time::Instant;

use anyhow::Result;
use e2e::{Database, Deployment, Setup, http, wait};
use hyper::StatusCode;

async fn under_load(database: Database) -> Result<(Deployment, e2e::Load)> {
    let deployment = Setup::new(database).backends(2).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    let load = deployment.load(8).await?;
    Ok((deployment, load))
}

on_both_databases!(the_control_plane_is_killed);

async fn the_control_plane_is_killed(database: Database) -> Result<()> {
    let (mut deployment, load) = under_load(database).await?;
    deployment.control_plane.process.kill9()?;
    let lost = async || deployment.data_planes[0].metric("balancer_sync_connected").await == Some(0.0);
    wait::until_true("the data plane to notice", lost).await?;
    load.proceed(1000).await?;
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!(answer.header("ratelimit"), r#""client";r=2"#, "limits hold all the while");
    deployment.control_plane.start_again().await?;
    deployment.control_plane.ready().await?;
    deployment.set_limit("bob", 1.0, 0.0).await?;
    load.proceed(100).await?;
    let tally = load.stop().await?;
    println!("{} requests, slowest {:?}", tally.requests(), tally.slowest);
    tally.assert_all_served();
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!(answer.header("ratelimit"), r#""client";r=1"#, "nobody was refilled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed() -> Result<()> {
    let (mut deployment, load) = under_load(Database::postgres()?).await?;
    deployment.control_plane.process.expect_errors();
    deployment.database.cluster()?.kill()?;
    let start = Instant::now();
    let body = r#"{"client_id":"bob","capacity":9,"rate_per_sec":0}"#;
    let refused = deployment.control_plane.rest("POST", "/limits/create", body).await?;
    println!("REST answered {} after {} ms", refused.status, start.elapsed().as_millis());
    refused.problem(StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(start.elapsed().as_secs() < 5);
    assert!(!refused.header("retry-after").is_empty());
    let not_ready = async || deployment.control_plane.readyz().await == Some(503);
    wait::until_true("readyz to say that the database is gone", not_ready).await?;
    assert_eq!(http::get(deployment.control_plane.address(), "/healthz").await?.status, 200);
    let ctl = deployment.control_plane.ctl().call(&["limits", "list"]).await?;
    assert_eq!(ctl.code, 1);
    load.proceed(1000).await?;
    deployment.database.cluster()?.start_again()?;
    deployment.control_plane.ready().await?;
    deployment.set_limit("bob", 9.0, 0.0).await?;
    load.stop().await?.assert_all_served();
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-api-key", "bob")], "").await?;
    assert_eq!(answer.header("ratelimit"), r#""client";r=8"#);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_no_more() -> Result<()> {
    let (mut deployment, load) = under_load(Database::postgres()?).await?;
    deployment.control_plane.process.expect_errors();
    deployment.database.cluster()?.pause()?;
    for body in [r#"{"client_id":"bob","capacity":9,"rate_per_sec":0}"#; 3] {
        let start = Instant::now();
        let refused = deployment.control_plane.rest("POST", "/limits/create", body).await?;
        println!("REST answered {} after {} ms", refused.status, start.elapsed().as_millis());
        refused.problem(StatusCode::SERVICE_UNAVAILABLE)?;
        assert!(start.elapsed().as_secs() < 5);
    }
    let not_ready = async || deployment.control_plane.readyz().await == Some(503);
    wait::until_true("readyz to say that the database is gone", not_ready).await?;
    load.proceed(1000).await?;
    deployment.database.cluster()?.resume()?;
    deployment.control_plane.ready().await?;
    deployment.set_limit("carol", 9.0, 0.0).await?;
    load.stop().await?.assert_all_served();
    Ok(())
}
