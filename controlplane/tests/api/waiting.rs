//! A control plane that is there before its database.

use balancer_proto::v1::{GetStatusRequest, status_service_client::StatusServiceClient};
use tempfile::TempDir;
use test_postgres::{Cluster, Options};
use tonic::Code;

use crate::{
    harness::{Running, until, within},
    raw::{get, json},
};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_so_and_begins_when_the_database_does() {
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    cluster.kill().unwrap();
    let running = Running::start_on(TempDir::new().unwrap(), url, "").await;
    for path in ["/readyz", "/limits/get?client_id=a", "/nowhere"] {
        let answer = get(running.address, path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        assert!(answer.problem().starts_with("the database does not answer: "), "{answer:?}");
    }
    assert_eq!(get(running.address, "/healthz").await.status, 200);
    assert!(get(running.address, "/metrics").await.body.contains("balancer_controlplane_database_up 0\n"));
    let mut service = StatusServiceClient::new(running.channel());
    let refused = within(service.get_status(GetStatusRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().starts_with("the database does not answer: "), "{refused}");

    cluster.start_again().unwrap();
    until(|| get(running.address, "/readyz"), |answer| answer.status == 200).await;
    let body = r#"{"client_id":"a","capacity":1,"rate_per_sec":1}"#;
    assert_eq!(json(running.address, "POST", "/limits/create", body).await.status, 201);
    // Over the connection that was there before.
    within(service.get_status(GetStatusRequest {})).await.unwrap();
    drop(service);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_changed_under_a_running_control_plane_is_told_as_such() {
    let host = ["host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"];
    let options = Options { hba: host.map(str::to_owned).into(), ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    cluster.execute("CREATE ROLE me LOGIN SUPERUSER PASSWORD 'right'").unwrap();
    let url = format!("postgres://me:right@127.0.0.1:{}/postgres", cluster.port());
    let running = Running::start_on(TempDir::new().unwrap(), url, "").await;
    until(|| get(running.address, "/readyz"), |answer| answer.status == 200).await;
    cluster.execute("ALTER ROLE me PASSWORD 'left'").unwrap();
    let sever = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'me'";
    cluster.execute(sever).unwrap();
    let answer =
        until(|| get(running.address, "/readyz"), |answer| answer.body.contains("the server refused the password"))
            .await;
    assert!(answer.status == 503 && !answer.body.contains("does not answer"), "{answer:?}");
    let rest = get(running.address, "/limits/get?client_id=a").await;
    assert!(rest.status == 503 && rest.problem().starts_with("the server refused the password"), "{rest:?}");
    cluster.execute("ALTER ROLE me PASSWORD 'right'").unwrap();
    until(|| get(running.address, "/readyz"), |answer| answer.status == 200).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_it_waits() {
    let running = Running::start_on(TempDir::new().unwrap(), "postgres://127.0.0.1:1/b".into(), "").await;
    assert_eq!(get(running.address, "/readyz").await.status, 503);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_asked_for_meanwhile() {
    let yaml = "admin: { token: s3cret }";
    let running = Running::start_on(TempDir::new().unwrap(), "postgres://127.0.0.1:1/b".into(), yaml).await;
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/metrics", 401), ("/limits/get?client_id=a", 401)] {
        assert_eq!(get(running.address, path).await.status, status, "{path}");
    }
    running.stop().await;
}
