//! The same on PostgreSQL, and what only several control planes or a killed server can show.

use std::time::{Duration, Instant};

use balancer_proto::v1::{GetStatusRequest, Strategy, status_service_client::StatusServiceClient};
use tempfile::TempDir;
use test_postgres::Cluster;

use crate::{
    harness::{Running, until},
    raw::{get, json},
    rest,
    sync::{Replica, set},
};

async fn start(url: &str) -> Running {
    Running::start_on(TempDir::new().unwrap(), url.to_owned(), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_and_two_control_planes_and_a_killed_server() {
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let (first, second) = (start(&url).await, start(&url).await);
    rest::story(first.address).await;

    let mut replica = Replica::connect(second.channel()).await;
    let revision = set(first.channel(), "a", 1.0).await;
    while replica.hello.revision < revision {
        replica.step().await;
    }
    assert!(replica.limits.contains_key("a"));

    cluster.kill().unwrap();
    let asked = Instant::now();
    let refused = get(first.address, "/limits/get?client_id=a").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    refused.problem();
    until(|| get(first.address, "/readyz"), |answer| answer.status == 503).await;
    assert_eq!(get(first.address, "/healthz").await.status, 200);
    let status = StatusServiceClient::new(first.channel()).get_status(GetStatusRequest {}).await.unwrap();
    let status = status.into_inner().status.unwrap();
    assert_eq!((status.database.as_str(), status.database_available, status.limits), ("postgresql", false, 1));

    // A data plane that connects now gets the last good configuration.
    let mut late = Replica::connect(first.channel()).await;
    late.step().await;
    assert!(late.limits.contains_key("a"));
    drop(late);

    cluster.start_again().unwrap();
    let body = r#"{"client_id":"b","capacity":1,"rate_per_sec":1}"#;
    until(|| json(first.address, "POST", "/limits/create", body), |answer| [201, 409].contains(&answer.status)).await;
    // It may have been silent for too long meanwhile.
    let mut replica = replica.reconnect(second.channel()).await;
    while !replica.limits.contains_key("b") {
        replica.step().await;
    }
    until(|| get(first.address, "/readyz"), |answer| answer.status == 200).await;
    drop(replica);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_holds_up_no_stream() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    set(running.channel(), "b", 1.0).await;
    running.stop().await;
    // A new control plane has to ask the store what the data plane missed.
    let running = start(&url).await;
    get(running.address, "/healthz").await;
    cluster.pause().unwrap();
    let asked = Instant::now();
    let mut replica = replica.reconnect(running.channel()).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "welcomed after {:?}", asked.elapsed());
    assert!(replica.step().await[0].full);
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    assert_eq!(replica.limits.len(), 2);
    drop(replica);
    let stopping = Instant::now();
    running.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(8), "stopped after {:?}", stopping.elapsed());
    cluster.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_and_changed_behind_a_running_control_plane_is_read_anew() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    set(running.channel(), "a", 1.0).await;
    let known = set(running.channel(), "lost", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // What a restored backup looks like after two changes there.
    let next = known + 1;
    let past = format!(
        "BEGIN; DELETE FROM limits WHERE client_id = 'lost'; UPDATE revisions SET mark = mark + 1 WHERE revision = {known}; \
         INSERT INTO limits (client_id, capacity, rate_per_sec, revision) VALUES ('c', 1, 1, {known}), ('d', 1, 1, {next}); \
         INSERT INTO revisions VALUES ({next}, 1); UPDATE meta SET revision = {next}; COMMIT"
    );
    client.batch_execute(&past).await.unwrap();
    assert!(replica.step().await[0].full);
    assert_eq!(replica.limits.keys().collect::<Vec<_>>(), ["a", "c", "d"]);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_while_the_database_is_gone_is_not_forgotten() {
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    cluster.kill().unwrap();
    running.reload("strategy: random").await.unwrap();
    running.reload("strategy: p2c").await.unwrap();
    until(|| get(running.address, "/readyz"), |answer| answer.status == 503).await;
    cluster.start_again().unwrap();
    let mut replica = replica.reconnect(running.channel()).await;
    loop {
        let step = replica.step().await;
        if step[0].settings.as_ref().is_some_and(|settings| settings.strategy() == Strategy::P2c) {
            break;
        }
    }
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_cannot_be_read_are_told() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    until(|| get(running.address, "/readyz"), |answer| answer.status == 200).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("ALTER TABLE limits RENAME TO elsewhere").await.unwrap();
    let told = until(|| get(running.address, "/readyz"), |answer| answer.status == 503).await;
    assert!(told.problem().contains("limits"), "{told:?}");
    let status = StatusServiceClient::new(running.channel()).get_status(GetStatusRequest {}).await.unwrap();
    let status = status.into_inner().status.unwrap();
    assert!(status.database_available && status.fault.contains("limits"), "{status:?}");
    client.batch_execute("ALTER TABLE elsewhere RENAME TO limits").await.unwrap();
    until(|| get(running.address, "/readyz"), |answer| answer.status == 200).await;
    running.stop().await;
}
