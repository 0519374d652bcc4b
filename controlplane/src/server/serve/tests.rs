use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::metrics::Metrics;

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Nothing ever times out.
const PATIENT: Patience = Patience { head: LONG, exchange: LONG, without_stream: LONG, farewell: SHORT };

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(patience: Patience, seats: Option<Arc<Seats>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let pause = async || sleep(SHORT * 4).await;
        let app = Router::new().route("/", get(async || "here")).route("/slow", get(pause));
        let port = Port { name: "test", listener, tls: None, seats, patience, front: Front::new(app) };
        Self { address, shutdown: shutdown.clone(), task: tokio::spawn(serve(port, shutdown)) }
    }

    async fn say(&self, words: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream
    }

    async fn http2(&self) -> SendRequest<Empty<Bytes>> {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Shuts down and answers how long that took.
    async fn stop(self) -> Duration {
        let asked = Instant::now();
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
        asked.elapsed()
    }
}

/// Reads to the end, which must come; it may be a reset, where words came too late.
async fn ends(mut stream: TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("the connection stays open");
    read
}

#[tokio::test]
async fn silence_half_a_preface_and_half_a_head_end_in_time() {
    let served = Served::start(Patience { head: SHORT, ..PATIENT }, None).await;
    for words in [&b""[..], b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n"] {
        ends(served.say(words).await).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_pause_between_requests_may_be_longer_than_a_head() {
    let served = Served::start(Patience { head: SHORT, ..PATIENT }, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
        }
        assert!(timeout(SHORT * 3, stream.read_u8()).await.is_err(), "it is still open");
    }
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_let_go() {
    let patience = Patience { exchange: SHORT * 2, without_stream: SHORT * 2, ..PATIENT };
    let served = Served::start(patience, None).await;
    let kept = served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(ends(kept).await.ends_with(b"here"));
    ends(served.say(PREFACE).await).await;
    let mut sender = served.http2().await;
    sender.ready().await.unwrap();
    timeout(PATIENCE, async {
        while sender.ready().await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_stream_is_not_idle() {
    let served = Served::start(Patience { without_stream: SHORT, ..PATIENT }, None).await;
    let mut sender = served.http2().await;
    let request = http::Request::get("http://a/slow").body(Empty::new()).unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_who_is_silent() {
    let served = Served::start(PATIENT, None).await;
    let mut held = Vec::new();
    for words in [&b""[..], PREFACE, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /half HTTP/1.1\r\n"] {
        held.push(served.say(words).await);
    }
    let mut busy = served.http2().await;
    let slow = tokio::spawn(busy.send_request(http::Request::get("http://a/slow").body(Empty::new()).unwrap()));
    busy.ready().await.unwrap();
    // The preface and the requests have been taken in when a later connection has been answered.
    let mut last = served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    last.read_u8().await.unwrap();
    let took = served.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(timeout(PATIENCE, slow).await.unwrap().unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn who_finds_no_seat_is_closed_at_once() {
    let seats = Seats::new(4, Metrics::new(&mut Registry::default()));
    let served = Served::start(PATIENT, Some(seats)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    assert!(ends(served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await).await.is_empty());
    drop(held);
    let answered = async {
        while ends(served.say(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await).await.is_empty() {}
    };
    timeout(PATIENCE, answered).await.expect("seats come back");
    served.stop().await;
}
