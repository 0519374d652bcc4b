//! Pages for monitoring and for people.

use crate::{
    harness::{Running, until},
    raw::{get, json, send},
};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_openmetrics() {
    let running = Running::start("").await;
    json(running.address, "POST", "/limits/create", r#"{"client_id":"a","capacity":1,"rate_per_sec":1}"#).await;
    let page = until(
        || get(running.address, "/metrics"),
        |page| page.body.contains("\nbalancer_controlplane_limits 1\n") && page.body.contains("_database_up 1\n"),
    )
    .await;
    assert_eq!(page.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(page.body.contains(r#"balancer_controlplane_rest_calls_total{route="/limits/create",status="201"} 1"#));
    assert!(page.body.contains("balancer_controlplane_revision 2\n"), "{}", page.body);
    assert!(page.body.ends_with("# EOF\n"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_cannot_invent_labels() {
    let running = Running::start("").await;
    for path in ["/docs/invented", "/invented.Service/Method", "/balancer.v1.LimitService/Invented", "/invented"] {
        for kind in ["application/grpc", "text/plain"] {
            send(running.address, &format!("GET {path} HTTP/1.1\r\nContent-Type: {kind}"), b"").await;
        }
    }
    let page = get(running.address, "/metrics").await.body;
    assert!(page.contains("grpc_calls_total{method=\"other\""), "{page}");
    assert!(!page.to_ascii_lowercase().contains("invented"), "{page}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openapi_describes_every_call_and_every_error() {
    let running = Running::start("").await;
    let document = get(running.address, "/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, method, success) in [
        ("/limits/create", "post", "201"),
        ("/limits/get", "get", "200"),
        ("/limits/update", "put", "204"),
        ("/limits/delete", "delete", "204"),
    ] {
        let responses = &document["paths"][path][method]["responses"];
        for status in [success, "400", "401", "405", "413", "415", "500", "503"] {
            assert!(responses[status].is_object(), "{method} {path} {status}");
        }
        let schema = &responses["400"]["content"]["application/problem+json"]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/Problem");
    }
    assert!(document["components"]["schemas"]["Limit"]["properties"]["client_id"]["example"].is_string());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_need_no_internet() {
    let running = Running::start("").await;
    let page = get(running.address, "/docs/").await.body;
    assert!(!page.contains("//cdn") && !page.contains("https://unpkg"), "{page}");
    assert_eq!(get(running.address, "/docs").await.status, 303);
    running.stop().await;
}
