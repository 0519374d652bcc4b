//! HTTP/2 from clients.

use std::time::Duration;

use bytes::Bytes;
use dataplane::{
    limit::Limit,
    server::{ProxyOptions, ServeOptions},
};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{backend, plane::Plane};

pub(crate) type Sender = http2::SendRequest<Full<Bytes>>;

/// Begins HTTP/2 on a connection.
pub(crate) async fn handshake(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://example.com{path}");
    let builder = Request::post(uri).header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    builder.body(Full::from(body.to_owned())).unwrap()
}

async fn body_of(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn many_requests_on_one_connection_become_http1() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], Some(Limit::new(50.0, 0.0).unwrap()));
    let mut sender = handshake(TcpStream::connect(plane.address).await.unwrap()).await;
    let mut answers = Vec::new();
    for index in 0..60 {
        sender.ready().await.unwrap();
        answers.push(tokio::spawn(sender.send_request(post(&format!("/{index}?x"), "hello"))));
    }
    let (mut passed, mut refused) = (0, 0);
    for answer in answers {
        let answer = answer.await.unwrap().unwrap();
        match answer.status() {
            StatusCode::OK => {
                assert!(answer.headers().contains_key("ratelimit"));
                assert_eq!(body_of(answer).await, "ok");
                passed += 1;
            }
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
        }
    }
    assert_eq!((passed, refused), (50, 10));
    let request = seen.requests.lock().unwrap()[0].to_ascii_lowercase();
    for line in ["host: example.com", "cookie: a=1; b=2", "x-forwarded-proto: http", "content-length: 5"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
    assert!(request.starts_with("post /") && request.contains("?x http/1.1\r\n") && !request.contains("\r\nte:"));
}

#[tokio::test]
async fn a_request_that_http1_forbids_is_refused_and_the_connection_stays() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut sender = handshake(TcpStream::connect(plane.address).await.unwrap()).await;
    let mut mismatch = post("/", "");
    mismatch.headers_mut().insert("host", "other".parse().unwrap());
    assert_eq!(sender.send_request(mismatch).await.unwrap().status(), 400);
    assert_eq!(sender.send_request(post("/", "")).await.unwrap().status(), 200);
    assert_eq!(seen.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn shutdown_ends_an_idle_connection() {
    let (address, _) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut sender = handshake(TcpStream::connect(plane.address).await.unwrap()).await;
    assert_eq!(sender.send_request(post("/", "")).await.unwrap().status(), 200);
    plane.shut_down();
    tokio::task::spawn_blocking(|| plane.join()).await.unwrap();
}

#[test]
fn a_connection_without_a_request_is_let_go_after_the_time_for_a_head() {
    let (address, _) = backend::start(backend::ok);
    let header_timeout = Duration::from_millis(100);
    let proxy = ProxyOptions { header_timeout, ..ProxyOptions::default() };
    let plane = Plane::start_with(&[address], None, ServeOptions { proxy, ..ServeOptions::default() });
    let mut client = plane.connect();
    // Long before an idle connection would.
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").rest();
}
