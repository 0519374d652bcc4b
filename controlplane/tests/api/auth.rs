//! The token.

use balancer_proto::v1::{GetStatusRequest, status_service_client::StatusServiceClient};
use tonic::{Code, Request};

use crate::{
    harness::{Running, within},
    raw::{get, send},
};

const YAML: &str = "admin: { token: s3cret }";

#[tokio::test(flavor = "multi_thread")]
async fn rest_and_metrics_ask_for_the_token() {
    let running = Running::start(YAML).await;
    for path in ["/limits/get?client_id=a", "/metrics", "/nowhere"] {
        for header in ["", "\r\nAuthorization: Bearer wrong", "\r\nAuthorization: Basic s3cret"] {
            let answer = send(running.address, &format!("GET {path} HTTP/1.1{header}"), b"").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path} {header:?}");
            assert!(!answer.problem().contains("s3cret"));
        }
    }
    let answer = send(running.address, "GET /metrics HTTP/1.1\r\nAuthorization: Bearer s3cret", b"").await;
    assert_eq!(answer.status, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing() {
    let running = Running::start("").await;
    let body = br#"{"client_id":"a","capacity":1,"rate_per_sec":1}"#;
    let create =
        |site| format!("POST /limits/create HTTP/1.1\r\nContent-Length: {}\r\nSec-Fetch-Site: {site}", body.len());
    let refused = send(running.address, &create("cross-site"), body).await;
    assert_eq!(refused.status, 403);
    assert!(refused.problem().contains("another site"));
    assert_eq!(get(running.address, "/limits/get?client_id=a").await.status, 404);
    assert_eq!(send(running.address, &create("same-origin"), body).await.status, 201);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_documentation_are_open() {
    let running = Running::start(YAML).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_eq!(get(running.address, path).await.status, 200, "{path}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_asks_for_the_token() {
    let running = Running::start(YAML).await;
    let mut client = StatusServiceClient::new(running.channel());
    let refused = within(client.get_status(GetStatusRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut request = Request::new(GetStatusRequest {});
    request.metadata_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
    within(client.get_status(request)).await.unwrap();
    let page = send(running.address, "GET /metrics HTTP/1.1\r\nAuthorization: Bearer s3cret", b"").await.body;
    assert!(page.contains(r#"grpc_calls_total{method="other",code="16"} 1"#), "strangers invent no labels: {page}");
    assert!(page.contains(r#"grpc_calls_total{method="balancer.v1.StatusService/GetStatus",code="0"} 1"#), "{page}");
    drop(client);
    running.stop().await;
}
