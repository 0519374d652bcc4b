//! The control plane or its database is gone: not one failed request, and what changed meanwhile arrives afterwards.

use std::{fs, time::Instant};

use anyhow::{Context, Result};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_made_anew_is_taken_whole() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    for client in ["alice", "bob", "carol"] {
        deployment.set_limit(client, 3.0, 0.0).await?;
    }
    deployment.control_plane.process.kill9()?;
    for file in deployment.database.files()? {
        fs::remove_file(file)?;
    }
    deployment.control_plane.start_again().await?;
    deployment.control_plane.set_limit("dave", 4.0, 0.0).await?;
    only_has(&deployment, &["dave"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_restored_from_a_backup_is_taken_whole() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    deployment.control_plane.process.kill9()?;
    let files = deployment.database.files()?;
    let backup: Vec<_> = files.iter().map(|file| Ok((file.clone(), fs::read(file)?))).collect::<Result<_>>()?;
    deployment.control_plane.start_again().await?;
    deployment.set_limit("bob", 3.0, 0.0).await?;
    deployment.control_plane.process.kill9()?;
    for file in deployment.database.files()? {
        fs::remove_file(file)?;
    }
    for (file, content) in backup {
        fs::write(file, content)?;
    }
    deployment.control_plane.start_again().await?;
    // As many changes as were lost: the revisions are equal, the limits are not.
    deployment.control_plane.set_limit("carol", 3.0, 0.0).await?;
    only_has(&deployment, &["alice", "carol"]).await
}

/// Waits until the data plane has the limits of these clients and no others.
async fn only_has(deployment: &Deployment, clients: &[&str]) -> Result<()> {
    let proxy = deployment.data_plane()?.proxy();
    wait::until_true(&format!("only {clients:?} to be limited"), async || {
        let mut limited = Vec::new();
        for client in ["alice", "bob", "carol", "dave"] {
            let answer = http::send(proxy, "GET", "/", &[("x-api-key", client)], "").await;
            limited.extend(answer.is_ok_and(|a| a.header("ratelimit-policy").contains("client")).then_some(client));
        }
        limited == clients
    })
    .await
    .map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_restarted_alone_serves_what_it_saved() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(2).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    let saved = async || deployment.data_planes[0].metric("balancer_state_file_saves_total").await >= Some(1.0);
    wait::until_true("the snapshot to be saved", saved).await?;
    deployment.control_plane.process.kill9()?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
    deployment.data_planes[0].start_again().await?;
    let proxy = deployment.data_plane()?.proxy();
    let answer = http::send(proxy, "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, r#""client";r=2"#));
    deployment.backends[0].process.kill9()?;
    for _ in 0..20 {
        assert_eq!(http::get(proxy, "/").await?.status, 200, "its own failed connects tell it who is gone");
    }
    deployment.control_plane.start_again().await?;
    deployment.set_limit("bob", 2.0, 0.0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_killed_alone_serves_what_it_saved() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    let revision = deployment.control_plane.status().await?.revision;
    deployment.control_plane.process.kill9()?;
    // Saves are at most a second apart: the last one may still be to come.
    let file = deployment.state_dir(0).join("snapshot.bin");
    let saved = async || fs::read(&file).is_ok_and(|bytes| bytes.windows(5).any(|window| window == b"alice"));
    wait::until_true("alice to be saved", saved).await?;
    deployment.data_planes[0].process.kill9()?;
    deployment.data_planes[0].start_again().await?;
    deployment.data_planes[0].at_revision(revision).await?;
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, r#""client";r=2"#));
    Ok(())
}

/// Damages the saved snapshot of a stopped data plane; it must say so once and get everything anew.
async fn refuses(damage: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    deployment.set_limit("alice", 3.0, 0.0).await?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
    let file = deployment.state_dir(0).join("snapshot.bin");
    fs::write(&file, damage(fs::read(&file).context("a snapshot was saved")?))?;
    deployment.data_planes[0].start_again().await?;
    deployment.data_plane()?.ready().await?;
    deployment.settled().await?;
    let logs = deployment.data_plane()?.process.logs();
    let warnings: Vec<_> = logs.iter().filter(|line| line.contains("\"WARN\"")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("snapshot.bin"), "{logs:#?}");
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, r#""client";r=2"#));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_snapshot_is_refused() -> Result<()> {
    refuses(|bytes| bytes[..bytes.len() - 7].to_vec()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_refused() -> Result<()> {
    refuses(|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        bytes
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_file_is_refused() -> Result<()> {
    refuses(|_| b"this is a letter to my aunt\n".repeat(100)).await
}
