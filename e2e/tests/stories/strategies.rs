//! How requests are spread over backends.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::{Backend, Database, Deployment, Setup, http};

async fn with_strategy(name: &str) -> Result<Deployment> {
    let setup = Setup::new(Database::sqlite()?).backends(3).config_line(&format!("strategy: {name}"));
    setup.config_line("client: { trusted_proxies: [127.0.0.1] }").start().await
}

/// Which backends answer requests of these clients, and how often.
async fn spread(deployment: &Deployment, clients: impl IntoIterator<Item = usize>) -> Result<BTreeMap<String, u32>> {
    let mut spread = BTreeMap::new();
    for client in clients {
        *spread.entry(backend_of(deployment, client).await?).or_default() += 1;
    }
    Ok(spread)
}

async fn backend_of(deployment: &Deployment, client: usize) -> Result<String> {
    let address = format!("10.0.{}.{}", client / 256, client % 256);
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/", &[("x-forwarded-for", &address)], "").await?;
    assert_eq!(answer.status, 200);
    Ok(answer.header("x-backend").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_strategy_uses_every_backend() -> Result<()> {
    for (name, least) in
        [("round_robin", 100), ("least_connections", 60), ("p2c", 60), ("random", 60), ("consistent_hash", 30)]
    {
        let deployment = with_strategy(name).await?;
        let spread = spread(&deployment, 0..300).await?;
        println!("{name}: {spread:?}");
        assert!(spread.len() == 3 && spread.values().all(|count| *count >= least), "{name}: {spread:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_shares() -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let heavy = Backend::start().await?;
    deployment.control_plane.ctl().run(&["backends", "add", &heavy.url(), "--weight", "3"]).await?;
    deployment.settled().await?;
    let mut heavy_count = 0;
    for _ in 0..80 {
        let answer = http::get(deployment.data_plane()?.proxy(), "/").await?;
        heavy_count += u32::from(answer.header("x-backend") == heavy.address().to_string());
    }
    assert_eq!(heavy_count, 60);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hashed_client_keeps_its_backend_while_others_move() -> Result<()> {
    let deployment = with_strategy("consistent_hash").await?;
    let mut before = Vec::new();
    for client in 0..60 {
        before.push(backend_of(&deployment, client).await?);
        assert_eq!(backend_of(&deployment, client).await?, before[client]);
    }
    let gone = &deployment.backends[1];
    deployment.control_plane.ctl().run(&["backends", "drain", &gone.url()]).await?;
    deployment.settled().await?;
    for (client, backend) in before.iter().enumerate() {
        let now = backend_of(&deployment, client).await?;
        let moved = *backend == gone.address().to_string();
        assert_eq!(now != *backend, moved, "client {client} was at {backend} and is at {now}");
    }
    Ok(())
}
