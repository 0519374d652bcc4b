//! A database that is not the one it was: data planes notice, and take everything.

use std::fs;

use anyhow::Result;
use e2e::{Database, Deployment, Setup, http, wait};

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
