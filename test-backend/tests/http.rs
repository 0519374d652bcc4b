//! The test backend over real sockets, by raw HTTP.

// The lint lets #[test] functions off by itself, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use test_backend::{Speech, Versions};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);

struct Backend {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

async fn start() -> Backend {
    start_speaking(Speech::default()).await
}

async fn start_speaking(speech: Speech) -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(test_backend::run_speaking(listener, None, speech, shutdown.clone()));
    Backend { address, shutdown, server }
}

impl Backend {
    /// Sends `head` and `body` on a connection of their own and reads until the server closes it.
    async fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{head}\r\nHost: test\r\nConnection: close\r\n{length}\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn describes_the_request() {
    let backend = start().await;
    let answer = backend.ask("PUT /a%2Fb//c?x=%20&y HTTP/1.1\r\nX-Two: 1\r\nX-Two: 2", "héllo").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&format!("x-backend: {}\r\n", backend.address)), "{answer}");
    let told: serde_json::Value = serde_json::from_str(body_of(&answer)).unwrap();
    assert_eq!(told["backend"], backend.address.to_string());
    assert_eq!(told["method"], "PUT");
    assert_eq!(told["target"], "/a%2Fb//c?x=%20&y");
    assert_eq!(told["body"], "héllo");
    assert_eq!(told["body_bytes"], 6);
    let headers = told["headers"].as_array().unwrap();
    let twice = headers.iter().filter(|pair| pair[0] == "x-two").map(|pair| pair[1].as_str().unwrap());
    assert_eq!(twice.collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn head_has_headers_only() {
    let backend = start().await;
    let answer = backend.ask("HEAD / HTTP/1.1", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(body_of(&answer), "");
}

#[tokio::test]
async fn answers_the_status_asked_for() {
    let backend = start().await;
    assert!(backend.ask("GET /health HTTP/1.1", "").await.starts_with("HTTP/1.1 200 "));
    assert!(backend.ask("GET /status/503 HTTP/1.1", "").await.starts_with("HTTP/1.1 503 "));
    assert!(backend.ask("GET /status/204 HTTP/1.1", "").await.starts_with("HTTP/1.1 204 "));
    for bad in ["/status/101", "/status/600", "/status/x", "/delay/60001", "/delay/-1", "/bytes/-1", "/stream/x"] {
        let answer = backend.ask(&format!("GET {bad} HTTP/1.1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("expected "), "{bad}: {answer}");
    }
}

#[tokio::test]
async fn waits_as_long_as_asked() {
    let backend = start().await;
    let begin = Instant::now();
    assert!(backend.ask("GET /delay/80 HTTP/1.1", "").await.starts_with("HTTP/1.1 200 "));
    assert!(begin.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn sends_bytes_of_a_known_pattern() {
    let backend = start().await;
    let answer = backend.ask("GET /bytes/100003 HTTP/1.1", "").await;
    assert!(answer.contains("content-length: 100003\r\n"));
    let body = body_of(&answer).as_bytes();
    assert_eq!(body.len(), 100_003);
    assert!(body.iter().enumerate().all(|(i, b)| *b == b"0123456789abcdef"[i % 16]));
}

#[tokio::test]
async fn streams_chunks() {
    let backend = start().await;
    let answer = backend.ask("GET /stream/3/1 HTTP/1.1", "").await;
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    assert_eq!(body_of(&answer), "8\r\nchunk 1\n\r\n8\r\nchunk 2\n\r\n8\r\nchunk 3\n\r\n0\r\n\r\n");
}

#[tokio::test]
async fn echoes_the_body_while_it_comes() {
    let backend = start().await;
    let mut stream = TcpStream::connect(backend.address).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst").await.unwrap();
    read_until(&mut stream, "first").await;
    stream.write_all(b"after").await.unwrap();
    read_until(&mut stream, "after").await;
}

#[tokio::test]
async fn upgrade_echoes_bytes() {
    let backend = start().await;
    assert!(backend.ask("GET /upgrade HTTP/1.1", "").await.starts_with("HTTP/1.1 426 "));
    let mut stream = TcpStream::connect(backend.address).await.unwrap();
    let head = b"GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream.write_all(b"ping").await.unwrap();
    read_until(&mut stream, "ping").await;
    backend.shutdown.cancel();
    timeout(PATIENCE, backend.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn abort_answers_nothing() {
    assert_eq!(start().await.ask("GET /abort HTTP/1.1", "").await, "");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight() {
    let backend = start().await;
    let mut stream = TcpStream::connect(backend.address).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\nhalf").await.unwrap();
    read_until(&mut stream, "half").await;
    backend.shutdown.cancel();
    stream.write_all(b"rest").await.unwrap();
    read_until(&mut stream, "rest").await;
    timeout(PATIENCE, backend.server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(backend.address).await.is_err());
}

/// Reads until the answer so far ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(end) {
        let len = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(len > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    answer
}

/// Asks over HTTP/2, for what `target` names; the answer's version and body.
async fn ask_http2(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, target: &str) -> serde_json::Value {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(target).body(Empty::<Bytes>::new()).unwrap();
    let answer = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn speaks_http2_to_who_begins_with_it() {
    let backend = start().await;
    let stream = TcpStream::connect(backend.address).await.unwrap();
    let told = ask_http2(stream, "http://host.test/a%2Fb?x").await;
    assert_eq!((&told["version"], &told["target"]), (&"HTTP/2.0".into(), &"/a%2Fb?x".into()));
    assert_eq!((&told["authority"], &told["scheme"]), (&"host.test".into(), &"http".into()));
}

#[tokio::test]
async fn speaks_over_tls_what_it_is_told_to() {
    let (dir, key) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    for (versions, spoken) in [(Versions::Both, "h2"), (Versions::Http2, "h2"), (Versions::Http1, "http/1.1")] {
        let backend = start_speaking(Speech::tls(versions, &cert_file, &key_file).unwrap()).await;
        let stream = TcpStream::connect(backend.address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(spoken.as_bytes()));
        if spoken == "h2" {
            assert_eq!(ask_http2(stream, "https://localhost/").await["scheme"], "https");
            continue;
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
