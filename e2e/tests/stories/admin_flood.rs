//! Idle connections to the admin port take nothing away from clients.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Backend, ConfigFile, ControlPlane, Database, Process, Program, http, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// As many as there are; and the limit on open files under which the process runs.
const IDLE: usize = 390;
const DESCRIPTORS: u32 = 400;

/// An HTTP/2 connection that says no more than it must.
async fn idle(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    // It may have been turned away already.
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    Ok(stream)
}

/// Whether the server has greeted; an end means that there was no room.
async fn is_held(stream: &mut TcpStream) -> Result<bool> {
    Ok(wait::bounded("a greeting or the end", stream.read_u8()).await?.is_ok())
}

async fn start(config: &Path) -> Result<(Process, SocketAddr, SocketAddr)> {
    let ports = ["--server-port", "0", "--admin-port", "0"];
    let program = Program::new("balancer").arg("--config").arg(config).args(ports).with_descriptors(DESCRIPTORS);
    let mut process = program.start()?;
    let (proxy, admin) = (process.listening("proxy").await?, process.listening("admin").await?);
    Ok((process, proxy, admin))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_admin_connections_do_not_starve_the_proxy() -> Result<()> {
    let (backend, database, dir) = (Backend::start().await?, Database::sqlite()?, tempfile::tempdir()?);
    let mut config = ConfigFile::new(database.url());
    config.backend_urls.push(backend.url());
    let (process, proxy, admin) = start(&config.write(dir.path())?).await?;
    wait::until_true("the proxy to serve", async || http::get(proxy, "/").await.is_ok_and(|a| a.status == 200)).await?;
    let mut streams = Vec::new();
    for _ in 0..IDLE {
        streams.push(idle(admin).await?);
    }
    let mut held = 0;
    for stream in &mut streams {
        held += usize::from(is_held(stream).await?);
    }
    println!("{held} of {IDLE} connections are held");
    assert!((1..100).contains(&held), "{held}");
    for _ in 0..50 {
        assert_eq!(http::get(proxy, "/").await?.status, 200);
    }
    drop(streams);
    wait::until_true("the admin port to have room again", async || {
        http::get(admin, "/readyz").await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    process.logged("turned away").await?;
    Ok(())
}

/// Hundredths of a second of processor time that a process has used.
fn cpu_ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    Ok(after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

/// Lets a running process open no more than `count` files.
fn limit(process: u32, count: usize) -> Result<()> {
    let limit = format!("--nofile={count}:");
    let set = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
    ensure!(set.context("prlimit(1) is in util-linux")?.success(), "the limit cannot be set");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_accepting_neither_spins_nor_ends() -> Result<()> {
    let (database, dir) = (Database::sqlite()?, tempfile::tempdir()?);
    let mut control_plane = ControlPlane::start(&ConfigFile::new(database.url()).write(dir.path())?, None).await?;
    control_plane.ready().await?;
    let id = control_plane.process.id();
    // The database cannot be asked either.
    control_plane.process.expect_errors();
    limit(id, 0)?;
    let mut refused = TcpStream::connect(control_plane.address()).await?;
    refused.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await?;
    control_plane.process.logged("cannot accept a connection").await?;
    let (before, begin) = (cpu_ticks(id)?, Instant::now());
    wait::until_true("two seconds to pass", async || begin.elapsed() >= Duration::from_secs(2)).await?;
    let used = cpu_ticks(id)? - before;
    println!("{used} hundredths of a second of processor time in two seconds");
    assert!(used < 50, "{used}");
    let told = control_plane.process.logs().iter().filter(|line| line.contains("cannot accept")).count();
    assert_eq!(told, 1, "a failure that goes on is one line");
    limit(id, 1024)?;
    let mut answer = String::new();
    wait::bounded("the answer", refused.read_to_string(&mut answer)).await??;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
