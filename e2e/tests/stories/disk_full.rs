//! No room left: said clearly, nothing lost, and all well again once there is room.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use anyhow::{Context, Result};
use e2e::{ConfigFile, ControlPlane, DataPlane, Database, Process, Setup, http, wait};
use hyper::StatusCode;

/// Room on the process's own disk.
const DISK_BYTES: u64 = 2 << 20;

/// A file on the disk that only `process` sees.
fn within(process: &Process, path: PathBuf) -> Result<PathBuf> {
    Ok(PathBuf::from(format!("/proc/{}/root", process.id())).join(path.strip_prefix("/").context("absolute")?))
}

/// Writes until there is no room left.
fn fill(path: &PathBuf) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_refuses_and_recovers() -> Result<()> {
    let (dir, disk) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let config = ConfigFile::new(format!("sqlite://{}/balancer.db", disk.path().display())).write(dir.path())?;
    let program = match ControlPlane::program(&config, None).on_small_disk(disk.path(), DISK_BYTES) {
        Ok(program) => program,
        Err(why) => {
            println!("not told here: {why:#}");
            return Ok(());
        }
    };
    let mut plane = ControlPlane::start_program(program, None).await?;
    plane.process.expect_errors();
    plane.ready().await?;
    plane.set_limit("alice", 3.0, 0.0).await?;
    let filler = within(&plane.process, disk.path().join("filler"))?;
    fill(&filler)?;
    let mut stored = Vec::new();
    let refusal = wait::until("the disk to be full", async || {
        let client = format!("client-{}", stored.len());
        let body = serde_json::json!({"client_id": client, "capacity": 1, "rate_per_sec": 0}).to_string();
        let answer = plane.rest("POST", "/limits/create", &body).await.ok()?;
        if answer.status == 201 {
            stored.push(client);
            return None;
        }
        Some(answer)
    })
    .await?;
    let sentence = refusal.problem(StatusCode::from_u16(refusal.status)?)?;
    println!("{} {sentence}", refusal.status);
    assert!(matches!(refusal.status, 503 | 507), "{}", refusal.text());
    assert_eq!(plane.rest("GET", "/limits/get?client_id=alice", "").await?.status, 200, "reading goes on");
    fs::remove_file(filler)?;
    plane.set_limit("bob", 3.0, 0.0).await?;
    for client in stored.iter().map(String::as_str).chain(["alice", "bob"]) {
        let got = plane.rest("GET", &format!("/limits/get?client_id={client}"), "").await?;
        assert_eq!(got.status, 200, "{client} was acknowledged");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_serves_on_without_its_state() -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).data_planes(0).start().await?;
    let disk = tempfile::tempdir()?;
    let program = DataPlane::program(&[deployment.control_plane.endpoint()], disk.path(), None);
    let program = match program.on_small_disk(disk.path(), DISK_BYTES) {
        Ok(program) => program,
        Err(why) => {
            println!("not told here: {why:#}");
            return Ok(());
        }
    };
    let data_plane = DataPlane::start(program).await?;
    data_plane.ready().await?;
    let saves = async || data_plane.metric("balancer_state_file_saves_total").await.unwrap_or_default();
    wait::until_true("the first save", async || saves().await > 0.0).await?;
    let filler = within(&data_plane.process, disk.path().join("filler"))?;
    fill(&filler)?;
    data_plane.at_revision(deployment.control_plane.set_limit("alice", 3.0, 0.0).await?).await?;
    let failed = async || data_plane.metric("balancer_state_file_errors_total").await > Some(0.0);
    wait::until_true("a save to fail", failed).await?;
    data_plane.process.logged("\"WARN\"").await?;
    let answer = http::send(data_plane.proxy(), "GET", "/", &[("x-api-key", "alice")], "").await?;
    assert_eq!((answer.status, answer.header("ratelimit")), (200, r#""client";r=2"#));
    fs::remove_file(filler)?;
    let before = saves().await;
    data_plane.at_revision(deployment.control_plane.set_limit("bob", 3.0, 0.0).await?).await?;
    wait::until_true("saves to work again", async || saves().await > before).await?;
    Ok(())
}
