//! A data plane without a control plane starts from the snapshot it saved; a damaged one is refused.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result};
use e2e::{Database, Setup, http, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_restarted_alone_serves_what_it_saved() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(2).start().await?;
    deployment.set_limit("alice", 3.0, 3.0).await?;
    let saved = async || deployment.data_planes[0].metric("balancer_state_file_saves_total").await >= Some(1.0);
    wait::until_true("the snapshot to be saved", saved).await?;
    deployment.control_plane.process.kill9()?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
    deployment.data_planes[0].start_again().await?;
    deployment.data_plane()?.ready().await?;
    let proxy = deployment.data_plane()?.proxy();
    serves_alice(proxy).await?;
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
    deployment.set_limit("alice", 3.0, 3.0).await?;
    let revision = deployment.control_plane.status().await?.revision;
    deployment.control_plane.process.kill9()?;
    // Saves are at most a second apart: the last one may still be to come.
    let file = deployment.state_dir(0).join("snapshot.bin");
    let saved = async || fs::read(&file).is_ok_and(|bytes| bytes.windows(5).any(|window| window == b"alice"));
    wait::until_true("alice to be saved", saved).await?;
    deployment.data_planes[0].process.kill9()?;
    deployment.data_planes[0].start_again().await?;
    deployment.data_planes[0].at_revision(revision).await?;
    deployment.data_plane()?.ready().await?;
    serves_alice(deployment.data_plane()?.proxy()).await
}

/// What she had before the restart may be spent, and nobody is there who knows: her bucket begins empty, and fills.
async fn serves_alice(proxy: SocketAddr) -> Result<()> {
    let ask = async || http::send(proxy, "GET", "/", &[("x-api-key", "alice")], "").await;
    wait::until_true("a token", async || ask().await.is_ok_and(|answer| answer.status == 200)).await?;
    assert_eq!(ask().await?.header("ratelimit-policy"), r#""client";q=3;w=1"#);
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
