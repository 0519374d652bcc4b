use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::{fixtures, sync::Staging};

async fn start(token: Option<&str>) -> (SocketAddr, Arc<Shared>, CancellationToken) {
    start_with(token, 512, Patience::default()).await
}

async fn start_with(
    token: Option<&str>,
    max_connections: usize,
    patience: Patience,
) -> (SocketAddr, Arc<Shared>, CancellationToken) {
    let mut registry = Registry::default();
    let shared = Shared::new(64, &mut registry);
    let admin =
        Admin { shared: Arc::clone(&shared), registry, token: token.and_then(Secret::new), max_connections, patience };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(serve(admin, listener, stop.clone()));
    (address, shared, stop)
}

/// The whole answer, head and body.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn hold_a_snapshot(shared: &Arc<Shared>) {
    let update = fixtures::full(7, &[]);
    let seal = crate::sync::Seal::of(&update).unwrap();
    let mut staging = Staging::begin(&update, None).unwrap();
    staging.add(update).unwrap();
    let saves = tokio::sync::watch::channel(None).0;
    crate::sync::Holder::new(Arc::clone(shared), saves).install(staging.finish(seal).unwrap()).unwrap();
}

#[tokio::test]
async fn ready_is_who_holds_a_snapshot_and_does_not_drain() {
    let (address, shared, _stop) = start(Some("hush")).await;
    assert!(ask(address, "GET /healthz", "").await.starts_with("HTTP/1.1 200"));
    let waiting = ask(address, "GET /readyz", "").await;
    assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("no snapshot yet"), "{waiting}");
    hold_a_snapshot(&shared);
    assert!(ask(address, "GET /readyz", "").await.starts_with("HTTP/1.1 200"));
    shared.set_draining();
    let draining = ask(address, "GET /readyz", "").await;
    assert!(draining.starts_with("HTTP/1.1 503") && draining.contains("shutting down"), "{draining}");
}

#[tokio::test]
async fn metrics_tell_what_is_served() {
    let (address, shared, _stop) = start(None).await;
    assert!(ask(address, "GET /metrics", "").await.ends_with("# EOF\n"));
    hold_a_snapshot(&shared);
    shared.snapshot.load_full().unwrap().pool.backends()[0].state.traffic.answered(204);
    shared.metrics.requests.answered(503, 2_000_000);
    let page = ask(address, "GET /metrics", "").await;
    assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{page}");
    for line in [
        "balancer_requests_total{class=\"5xx\"} 1\n",
        "balancer_requests_refused_total{limit=\"client\"} 0\n",
        "balancer_request_duration_seconds_bucket{le=\"0.001\"} 0\n",
        "balancer_request_duration_seconds_bucket{le=\"0.0025\"} 1\n",
        "balancer_request_duration_seconds_bucket{le=\"+Inf\"} 1\n",
        "balancer_request_duration_seconds_count 1\n",
        "balancer_snapshot_revision 7.0\n",
        "balancer_backend_requests_total{backend=\"http://127.0.0.1:8081\",class=\"2xx\"} 1\n",
        "balancer_backend_takes_requests{backend=\"http://127.0.0.1:8082\"} 1.0\n",
        "balancer_sync_connected 0.0\n",
        "balancer_buckets_max 64.0\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
}

#[tokio::test]
async fn metrics_ask_for_the_token_that_is_set() {
    let (address, _shared, _stop) = start(Some("hush")).await;
    for wrong in [
        "",
        "authorization: Bearer hus\r\n",
        "authorization: Bearer hushh\r\n",
        "authorization: Basic hush\r\n",
        "authorization: x\r\n",
    ] {
        let refused = ask(address, "GET /metrics", wrong).await;
        assert!(
            refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"),
            "{wrong}{refused}"
        );
    }
    assert!(ask(address, "GET /metrics", "authorization: bearer hush\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_not_here_says_what_is() {
    let (address, _shared, _stop) = start(None).await;
    let missing = ask(address, "GET /nope", "").await;
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("application/problem+json"), "{missing}");
    assert!(missing.contains("\"errors\":\"there is no /nope here"), "{missing}");
    let refused = ask(address, "DELETE /metrics", "").await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("allow: GET, HEAD"), "{refused}");
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: admin\r\n\r\n";

/// Says `words` and reads to the end of the connection, which must come; it may be a reset, where words came too late.
async fn ends(address: SocketAddr, words: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(words).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("it stays open");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_is_silent_is_let_go() {
    let (address, _shared, _stop) = start_with(None, 512, Patience { first: SHORT, idle: LONG, whole: LONG }).await;
    assert_eq!(ends(address, b"GET / HTTP/1.1\r\n").await, "");
    let (address, _shared, _stop) = start_with(None, 512, Patience { first: LONG, idle: SHORT, whole: LONG }).await;
    assert!(ends(address, REQUEST).await.ends_with("ok\n"));
    let (address, _shared, _stop) = start_with(None, 512, Patience { first: SHORT, idle: LONG, whole: SHORT }).await;
    assert!(ends(address, REQUEST).await.ends_with("ok\n"));
}

#[tokio::test]
async fn who_finds_no_seat_is_closed_at_once() {
    let patience = Patience { first: LONG, idle: LONG, whole: LONG };
    let (address, _shared, _stop) = start_with(None, 4, patience).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    assert_eq!(ends(address, REQUEST).await, "");
    drop(held);
    let closing = b"GET /healthz HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    let answered = async { while ends(address, closing).await.is_empty() {} };
    timeout(Duration::from_secs(30), answered).await.expect("seats come back");
}
