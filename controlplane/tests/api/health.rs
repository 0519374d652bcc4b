//! Active checks against real sockets.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use balancer_proto::v1::{
    AdminState, BackendStatus, Health, ListBackendsRequest, UpdateBackendRequest,
    backend_service_client::BackendServiceClient, sync_response::Message as Down, update_backend_request::Selector,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    harness::{Running, until},
    sync::Replica,
};

/// A backend that answers every connection with fixed bytes.
struct Backend {
    url: String,
    broken: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    last_request: Arc<std::sync::Mutex<String>>,
}

impl Backend {
    async fn start(good: &'static str, bad: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            broken: Arc::default(),
            asked: Arc::default(),
            last_request: Arc::default(),
        };
        let (broken, asked, last) = (backend.broken.clone(), backend.asked.clone(), backend.last_request.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                *last.lock().unwrap() = String::from_utf8_lossy(&request[..length]).into_owned();
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = if broken.load(Ordering::SeqCst) { bad } else { good };
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        backend
    }

    fn yaml(&self, check: &str) -> String {
        format!("backend_list: [{{ backend_url: \"{}\", config: {{ health: {{ {check} }} }} }}]", self.url)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";

async fn status(running: &Running, good: impl Fn(&BackendStatus) -> bool) -> BackendStatus {
    let ask = || async {
        let list = BackendServiceClient::new(running.channel()).list_backends(ListBackendsRequest {}).await.unwrap();
        list.into_inner().backends.remove(0)
    };
    until(ask, good).await
}

#[tokio::test(flavor = "multi_thread")]
async fn falls_and_rises_and_tells_replicas() {
    let backend = Backend::start(OK, BROKEN).await;
    let running = Running::start(&backend.yaml("interval_sec: 0.02, method: HEAD, url: '/up?x=1'")).await;
    let healthy = status(&running, |b| b.health() == Health::Healthy).await;
    assert!(healthy.reason.starts_with("200 in ") && healthy.since_ms.is_some(), "{healthy:?}");
    let request = backend.last_request.lock().unwrap().clone();
    assert!(request.starts_with("HEAD /up?x=1 HTTP/1.1\r\n"), "{request}");
    let authority = backend.url.trim_start_matches("http://");
    assert!(
        request.contains(&format!("host: {authority}\r\n")) && request.contains("user-agent: balancer/"),
        "{request}"
    );

    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    backend.broken.store(true, Ordering::SeqCst);
    let unhealthy = status(&running, |b| b.health() == Health::Unhealthy).await;
    assert_eq!(unhealthy.reason, "status 500, expected 200-399");
    let Down::Health(update) = replica.next().await else { panic!("not health") };
    assert!(!update.full && update.backends[0].health() == Health::Unhealthy);
    backend.broken.store(false, Ordering::SeqCst);
    let Down::Health(update) = replica.next().await else { panic!("not health") };
    assert_eq!(update.backends[0].health(), Health::Healthy);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_interval_is_no_reason_to_judge_anew() {
    let backend = Backend::start(OK, BROKEN).await;
    let yaml = |rest: &str| format!("{}\n{rest}", backend.yaml("url: /"));
    let running = Running::start(&yaml("ticker_rate_sec: 3600")).await;
    status(&running, |b| b.health() == Health::Healthy).await;
    backend.broken.store(true, Ordering::SeqCst);
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    running.reload(&yaml("ticker_rate_sec: 1800\nstrategy: p2c")).await.unwrap();
    replica.step().await;
    running.reload(&yaml("ticker_rate_sec: 0.02")).await.unwrap();
    status(&running, |b| b.health() == Health::Unhealthy).await;
    let asked = backend.asked.load(Ordering::SeqCst);
    assert!(asked > 3, "it fell after {} failures and not after 3", asked - 1);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_for_people() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = listener.local_addr().unwrap();
    drop(listener);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let babbling = Backend::start("220 mail.example ESMTP\r\n", "").await;
    let closing = Backend::start("", "").await;
    for (url, timeout_sec, beginning) in [
        (format!("http://{refusing}"), 10.0, "connection refused"),
        (format!("http://{}", silent.local_addr().unwrap()), 0.05, "timeout after 50 ms"),
        (babbling.url.clone(), 10.0, "not HTTP: "),
        (closing.url.clone(), 10.0, "closed the connection without an answer"),
    ] {
        let check = format!("config: {{ health: {{ timeout_sec: {timeout_sec} }} }}");
        let yaml = format!("backend_list: [{{ backend_url: \"{url}\", {check} }}]");
        let running = Running::start(&yaml).await;
        let seen = status(&running, |b| b.health() == Health::Unhealthy).await;
        assert!(seen.reason.starts_with(beginning), "{seen:?}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_backend_is_left_alone_and_a_draining_one_is_not() {
    let backend = Backend::start(OK, BROKEN).await;
    let running = Running::start(&backend.yaml("interval_sec: 0.01")).await;
    status(&running, |b| b.health() == Health::Healthy).await;
    let put = |admin_state: AdminState| {
        let selector = Some(Selector::Url(backend.url.clone()));
        UpdateBackendRequest { selector, weight: None, admin_state: admin_state.into() }
    };
    let mut client = BackendServiceClient::new(running.channel());
    client.update_backend(put(AdminState::Draining)).await.unwrap();
    let before = backend.asked.load(Ordering::SeqCst);
    until(|| async { backend.asked.load(Ordering::SeqCst) }, |asked| *asked > before + 3).await;
    client.update_backend(put(AdminState::Disabled)).await.unwrap();
    let unknown = status(&running, |b| b.health() == Health::Unknown).await;
    assert_eq!((unknown.reason.as_str(), unknown.since_ms), ("", None));
    drop(client);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_status_decides() {
    let backend = Backend::start(BROKEN, OK).await;
    let running = Running::start(&backend.yaml("expected_status: 500")).await;
    assert_eq!(status(&running, |b| b.since_ms.is_some()).await.health(), Health::Healthy);
    running.stop().await;
}
