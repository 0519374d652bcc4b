//! TLS on the proxy port.

use std::{
    io::{ErrorKind, Write},
    path::Path,
    sync::Arc,
};

use dataplane::server::{
    Announcers, ConnectionCaps, ServeOptions,
    tls::{CertificateFiles, Certificates},
};
use http::Request;
use http_body_util::Full;
use rustls::{
    CipherSuite, ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{backend, http2::handshake, plane::Plane};

/// Writes a self-signed certificate for `host`.
fn make(directory: &Path, host: &str) -> CertificateFiles {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let (certificate, key) = (directory.join(format!("{host}.crt")), directory.join(format!("{host}.key")));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    CertificateFiles { certificate, key }
}

/// Connects as a client that trusts what is in `trusted` now.
async fn connect(
    plane: &Plane,
    host: &str,
    trusted: &CertificateFiles,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_over(TcpStream::connect(plane.address).await?, host, trusted, alpn).await
}

async fn connect_over(
    stream: TcpStream,
    host: &str,
    trusted: &CertificateFiles,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    client(trusted, alpn).connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
}

/// A client without a session, that trusts what is in `trusted` now.
fn client(trusted: &CertificateFiles, alpn: &[u8]) -> TlsConnector {
    client_of(rustls::DEFAULT_VERSIONS, trusted, alpn)
}

fn client_of(versions: &[&'static SupportedProtocolVersion], trusted: &CertificateFiles, alpn: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&trusted.certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn get() -> Request<Full<bytes::Bytes>> {
    Request::get("https://a.test/").body(Full::default()).unwrap()
}

#[tokio::test]
async fn each_host_gets_its_certificate_and_http2_is_agreed() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (make(directory.path(), "a.test"), make(directory.path(), "*.b.test"));
    let tls = Some(Certificates::load(vec![a.clone(), b.clone()]).unwrap());
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, ServeOptions { tls, ..ServeOptions::default() });
    let stream = connect(&plane, "a.test", &a, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(handshake(stream).await.send_request(get()).await.unwrap().status(), 200);
    assert!(seen.requests.lock().unwrap()[0].to_ascii_lowercase().contains("\r\nx-forwarded-proto: https\r\n"));
    connect(&plane, "x.b.test", &b, b"http/1.1").await.unwrap();
    connect(&plane, "x.b.test", &a, b"h2").await.unwrap_err();
}

#[tokio::test]
async fn a_session_is_resumed_however_many_clients_came_since() {
    let directory = tempfile::tempdir().unwrap();
    let a = make(directory.path(), "a.test");
    let tls = Some(Certificates::load(vec![a.clone()]).unwrap());
    let (address, _) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, ServeOptions { tls, ..ServeOptions::default() });
    let once = async |client: TlsConnector| {
        let stream = TcpStream::connect(plane.address).await.unwrap();
        let mut stream = client.connect("a.test".try_into().unwrap(), stream).await.unwrap();
        // Tickets come before the answer.
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        stream.get_ref().1.handshake_kind()
    };
    let first = client(&a, b"http/1.1");
    assert_eq!(once(first.clone()).await, Some(HandshakeKind::Full));
    for _ in 0..300 {
        once(client(&a, b"http/1.1")).await;
    }
    for _ in 0..3 {
        assert_eq!(once(first.clone()).await, Some(HandshakeKind::Resumed), "each brings what pays for the next");
    }
}

#[tokio::test]
async fn the_cipher_is_the_cheapest_of_those_a_client_can() {
    let directory = tempfile::tempdir().unwrap();
    let a = make(directory.path(), "a.test");
    let tls = Some(Certificates::load(vec![a.clone()]).unwrap());
    let plane = Plane::start_with(&[], None, ServeOptions { tls, ..ServeOptions::default() });
    let offered = rustls::crypto::ring::default_provider().cipher_suites;
    assert_ne!(offered[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256, "the client would rather have another");
    let stream = connect(&plane, "a.test", &a, b"http/1.1").await.unwrap();
    let chosen = stream.get_ref().1.negotiated_cipher_suite().unwrap();
    assert_eq!(chosen.suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
}

#[tokio::test]
async fn a_reload_shows_new_connections_the_new_certificate_and_a_bad_file_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let old = make(directory.path(), "a.test");
    let certificates = Certificates::load(vec![old.clone()]).unwrap();
    let (address, _) = backend::start(backend::ok);
    let tls = Some(certificates.clone());
    let plane = Plane::start_with(&[address], None, ServeOptions { tls, ..ServeOptions::default() });
    let mut before = handshake(connect(&plane, "a.test", &old, b"h2").await.unwrap()).await;
    std::fs::write(&old.key, "no key").unwrap();
    let error = certificates.reload().unwrap_err().to_string();
    assert!(error.contains("a.test.key") && error.contains("private key"), "{error}");
    connect(&plane, "a.test", &old, b"h2").await.unwrap();
    let new = make(directory.path(), "a.test");
    certificates.reload().unwrap();
    connect(&plane, "a.test", &new, b"h2").await.unwrap();
    assert_eq!(before.send_request(get()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let tls = Some(Certificates::load(vec![make(directory.path(), "a.test")]).unwrap());
    let plane = Plane::start_with(&[], None, ServeOptions { tls, ..ServeOptions::default() });
    let closed = tokio::task::spawn_blocking(move || {
        let mut client = plane.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").rest()
    });
    // At most an alert comes back, never an answer.
    assert!(!closed.await.unwrap().contains("HTTP"));
    let missing = CertificateFiles { certificate: "missing.crt".into(), key: "missing.key".into() };
    let error = Certificates::load(vec![missing]).unwrap_err();
    assert!(
        matches!(&error, dataplane::server::tls::TlsError::Read { source, .. } if source.kind() == ErrorKind::NotFound)
    );
}

#[tokio::test]
async fn bodies_pass_whole_both_ways_and_the_end_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let files = make(directory.path(), "a.test");
    let tls = Some(Certificates::load(vec![files.clone()]).unwrap());
    let (address, _) = backend::start(|request, stream| {
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let plane = Plane::start_with(&[address], None, ServeOptions { tls, ..ServeOptions::default() });
    let mut stream = connect(&plane, "a.test", &files, b"http/1.1").await.unwrap();
    let body = "0123456789".repeat(100_000);
    for length in [3, 10_000, body.len()] {
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &body.as_bytes()[..length]].concat()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut echoed = vec![0; length];
        stream.read_exact(&mut echoed).await.unwrap();
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n") && echoed == body.as_bytes()[..length], "{length}");
    }
    for length in [0, 15_000, 40_000, body.len()] {
        let mut stream = connect(&plane, "a.test", &files, b"http/1.1").await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &body.as_bytes()[..length]].concat()).await.unwrap();
        // An end that is not said would be an error here.
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(&body.as_bytes()[..length]), "{length}");
    }
}

/// TLS 1.2 ends its handshake with the server's word, and a handshake that fails with the reason.
#[tokio::test]
async fn what_a_client_waits_for_in_a_handshake_is_not_held_back() {
    let directory = tempfile::tempdir().unwrap();
    let files = make(directory.path(), "a.test");
    let tls = Some(Certificates::load(vec![files.clone()]).unwrap());
    let (address, _) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, ServeOptions { tls, ..ServeOptions::default() });
    let old = client_of(&[&rustls::version::TLS12], &files, b"http/1.1");
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = TcpStream::connect(plane.address).await.unwrap();
        let mut stream = old.connect("a.test".try_into().unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(String::from_utf8(rest(&mut stream).await).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let refused = connect(&plane, "a.test", &files, b"spdy/3").await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
}

async fn rest(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test]
async fn a_proxy_protocol_header_comes_before_tls() {
    let directory = tempfile::tempdir().unwrap();
    let files = make(directory.path(), "a.test");
    let (address, seen) = backend::start(backend::ok);
    let options = ServeOptions {
        tls: Some(Certificates::load(vec![files.clone()]).unwrap()),
        announcers: Some(Announcers::new(vec!["127.0.0.0/8".parse().unwrap()])),
        ..ServeOptions::default()
    };
    let plane = Plane::start_with(&[address], None, options);
    let mut stream = TcpStream::connect(plane.address).await.unwrap();
    stream.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 4242 443\r\n").await.unwrap();
    let mut sender = handshake(connect_over(stream, "a.test", &files, b"h2").await.unwrap()).await;
    assert_eq!(sender.send_request(get()).await.unwrap().status(), 200);
    assert!(seen.requests.lock().unwrap()[0].to_ascii_lowercase().contains("\r\nx-forwarded-for: 203.0.113.7\r\n"));
    connect(&plane, "a.test", &files, b"h2").await.unwrap_err();
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_in_http2_through_tls() {
    let directory = tempfile::tempdir().unwrap();
    let files = make(directory.path(), "a.test");
    let (address, _) = backend::start(backend::ok);
    let options = ServeOptions {
        tls: Some(Certificates::load(vec![files.clone()]).unwrap()),
        caps: ConnectionCaps { max: 1, per_client: 0 },
        ..ServeOptions::default()
    };
    let plane = Plane::start_with(&[address], None, options);
    let mut first = handshake(connect(&plane, "a.test", &files, b"h2").await.unwrap()).await;
    let mut second = handshake(connect(&plane, "a.test", &files, b"h2").await.unwrap()).await;
    assert_eq!(second.send_request(get()).await.unwrap().status(), 503);
    assert_eq!(first.send_request(get()).await.unwrap().status(), 200);
}
