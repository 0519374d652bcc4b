//! PostgreSQL killed, hung, and started again.

use std::time::{Duration, Instant};

use controlplane::store::{DatabaseConfig, Store, StoreError};
use test_postgres::Cluster;

use crate::fixture::{client, limit};

/// How soon an outage must be told: REST answers within 5 s.
const TOLD_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_recovered_from() {
    let mut cluster = Cluster::start().unwrap();
    let store = open(&cluster).await;
    let revision = store.create_limit(&client("kept"), limit(1.0, 1.0)).await.unwrap();
    cluster.kill().unwrap();
    for _ in 0..3 {
        assert_unavailable(store.create_limit(&client("lost"), limit(1.0, 1.0)).await);
        assert_unavailable(store.get_limit(&client("kept")).await);
        assert_unavailable(store.ping().await);
    }
    let mut changed = store.changed();
    cluster.start_again().unwrap();
    // What was acknowledged before the kill is there, and the first new write goes through without a retry.
    assert_eq!(store.get_limit(&client("kept")).await.unwrap().revision, revision);
    let revision = store.create_limit(&client("new"), limit(1.0, 1.0)).await.unwrap();
    changed.wait_for(|known| *known >= revision).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kills() {
    let mut cluster = Cluster::start().unwrap();
    let store = open(&cluster).await;
    for n in 0..5 {
        let id = client(&n.to_string());
        store.create_limit(&id, limit(1.0, 1.0)).await.unwrap();
        cluster.kill().unwrap();
        cluster.start_again().unwrap();
        store.get_limit(&id).await.unwrap();
    }
    assert_eq!(store.load().await.unwrap().limits.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_is_told_in_time() {
    let cluster = Cluster::start().unwrap();
    let store = open(&cluster).await;
    let mut blocker = crate::fixture::postgres_client(&cluster.url()).await;
    let transaction = blocker.transaction().await.unwrap();
    transaction.batch_execute("SELECT * FROM meta FOR UPDATE").await.unwrap();
    let start = Instant::now();
    assert_unavailable(store.create_limit(&client("a"), limit(1.0, 1.0)).await);
    assert!(start.elapsed() < TOLD_WITHIN, "{:?}", start.elapsed());
    transaction.rollback().await.unwrap();
    store.create_limit(&client("b"), limit(1.0, 1.0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_told_in_time() {
    let cluster = Cluster::start().unwrap();
    let config = DatabaseConfig::parse(&cluster.url()).unwrap();
    let store = Store::open(&config).await.unwrap();
    cluster.pause().unwrap();
    let start = Instant::now();
    let id = client("a");
    let (write, read, ping, opened) = tokio::join!(
        store.create_limit(&id, limit(1.0, 1.0)),
        store.get_limit(&id),
        store.ping(),
        Store::open(&config)
    );
    assert!(start.elapsed() < TOLD_WITHIN, "{:?}", start.elapsed());
    assert_unavailable(write);
    assert_unavailable(read);
    assert_unavailable(ping);
    assert_unavailable(opened);
    cluster.resume().unwrap();
    store.create_limit(&client("b"), limit(1.0, 1.0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told() {
    let cluster = Cluster::start().unwrap();
    let config = DatabaseConfig::parse(&cluster.url()).unwrap();
    drop(cluster);
    let start = Instant::now();
    assert_unavailable(Store::open(&config).await);
    assert!(start.elapsed() < TOLD_WITHIN, "{:?}", start.elapsed());
}

async fn open(cluster: &Cluster) -> Store {
    Store::open(&DatabaseConfig::parse(&cluster.url()).unwrap()).await.unwrap()
}

fn assert_unavailable<T>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Unavailable(reason)) => println!("{reason}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the database answered"),
    }
}
