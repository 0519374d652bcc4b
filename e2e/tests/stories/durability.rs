//! Acknowledged is stored: writers write, a process is killed at a random moment, and whatever was acknowledged is there
//! afterwards.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context, Result};
use e2e::{Database, Deployment, Setup, http, wait};
use tokio::task::JoinSet;

/// Times that the control plane is killed.
const CONTROL_PLANE_KILLS: usize = 200;

/// Times that PostgreSQL is killed; each costs a recovery of about a second. 200 were done by hand.
const POSTGRES_KILLS: usize = 30;

/// Acknowledged writes there must be, whatever was killed.
const LEAST_ACKNOWLEDGED: usize = 200;

/// Writers at once, so that a kill finds commits in every stage.
const WRITERS: usize = 4;

/// What was acknowledged, and the writers that add to it.
struct Writers {
    acknowledged: Arc<Mutex<BTreeMap<String, f64>>>,
    count: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Writers {
    fn start(deployment: &Deployment) -> Self {
        let (acknowledged, count, mut tasks) = (Arc::default(), Arc::new(AtomicU64::new(0)), JoinSet::new());
        for writer in 0..WRITERS {
            tasks.spawn(write(writer, deployment.control_plane.address(), Arc::clone(&acknowledged), count.clone()));
        }
        Self { acknowledged, count, tasks }
    }

    /// Waits for `least` acknowledgements or some more; the writers go on meanwhile and afterwards.
    async fn proceed(&self, least: u64) -> Result<()> {
        let goal = self.count.load(Relaxed) + least + fastrand::u64(0..8);
        wait::until_true("writes to be acknowledged", async || self.count.load(Relaxed) >= goal).await.map(drop)
    }

    fn stop(mut self) -> BTreeMap<String, f64> {
        self.tasks.abort_all();
        std::mem::take(&mut *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Creates one limit after the other; what is not acknowledged is forgotten.
async fn write(
    writer: usize,
    address: std::net::SocketAddr,
    acknowledged: Arc<Mutex<BTreeMap<String, f64>>>,
    count: Arc<AtomicU64>,
) {
    for number in 0_u64.. {
        let (client, capacity) = (format!("client-{writer}-{number}"), (number % 1000 + 1) as f64);
        let body = serde_json::json!({"client_id": client, "capacity": capacity, "rate_per_sec": 1}).to_string();
        let headers = [("content-type", "application/json")];
        match http::send(address, "POST", "/limits/create", &headers, body).await {
            Ok(answer) if answer.status == 201 => {
                acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(client, capacity);
                count.fetch_add(1, Relaxed);
            }
            // Whoever is dead is being started again; another thread needs the processor for it.
            _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
}

async fn stored(deployment: &Deployment) -> Result<BTreeMap<String, f64>> {
    let rows = deployment.control_plane.ctl().json(&["limits", "list"]).await?;
    let row = |row: &serde_json::Value| Some((row["client_id"].as_str()?.to_owned(), row["capacity"].as_f64()?));
    Ok(rows.as_array().context("a list")?.iter().filter_map(row).collect())
}

async fn all_there(deployment: &Deployment, writers: Writers, start: Instant) -> Result<()> {
    let acknowledged = writers.stop();
    let stored = stored(deployment).await?;
    println!("{:?}: {} acknowledged, {} stored", start.elapsed(), acknowledged.len(), stored.len());
    assert!(acknowledged.len() >= LEAST_ACKNOWLEDGED, "{}", acknowledged.len());
    for (client, capacity) in &acknowledged {
        assert_eq!(stored.get(client), Some(capacity), "{client} was acknowledged");
    }
    Ok(())
}

on_both_databases!(the_control_plane_is_killed_again_and_again);

async fn the_control_plane_is_killed_again_and_again(database: Database) -> Result<()> {
    let mut deployment = Setup::new(database).data_planes(0).start().await?;
    let (writers, start) = (Writers::start(&deployment), Instant::now());
    for _ in 0..CONTROL_PLANE_KILLS {
        writers.proceed(1).await?;
        deployment.control_plane.process.kill9()?;
        deployment.control_plane.start_again().await?;
    }
    deployment.control_plane.ready().await?;
    all_there(&deployment, writers, start).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_again_and_again() -> Result<()> {
    let mut deployment = Setup::new(Database::postgres()?).data_planes(0).start().await?;
    deployment.control_plane.process.expect_errors();
    let (writers, start) = (Writers::start(&deployment), Instant::now());
    for _ in 0..POSTGRES_KILLS {
        writers.proceed(LEAST_ACKNOWLEDGED.div_ceil(POSTGRES_KILLS) as u64).await?;
        deployment.database.cluster()?.kill()?;
        deployment.database.cluster()?.start_again()?;
    }
    deployment.control_plane.ready().await?;
    all_there(&deployment, writers, start).await
}
