//! TLS: what is chosen, and who is believed.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use futures_util::future::join_all;
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::spawn_local,
};

use super::*;

/// A certificate for localhost with its key in files, and the text to trust it by.
fn certificate(dir: &Path) -> (PathBuf, PathBuf, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert_file, key_file, certificate.pem())
}

/// Two ways to a backend over TLS that speaks `versions`, asked for at once.
async fn two_ways(versions: test_backend::Versions, trust: Option<&str>) -> Vec<Result<Way, ConnectError>> {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key, pem) = certificate(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    let speech = test_backend::Speech::tls(versions, &cert, &key).unwrap();
    spawn_local(test_backend::run_speaking(listener, None, speech, Default::default()));
    let tls = BackendTls::new(trust.unwrap_or(&pem)).unwrap();
    let (pool, to) = (Rc::new(Http2Pool::default()), destination(Scheme::Https, &authority, &tls));
    within(join_all((0..2).map(|_| pool.way(&to)))).await
}

#[tokio::test]
async fn over_tls_the_backend_chooses_and_must_be_known() {
    local(async {
        use test_backend::Versions::{Both, Http1, Http2};
        for (versions, is_http2) in [(Both, true), (Http2, true), (Http1, false)] {
            for way in two_ways(versions, None).await {
                assert_eq!(matches!(way.unwrap(), Way::Http2(_)), is_http2, "{versions:?}");
            }
        }
        for way in two_ways(Both, Some("")).await {
            let Err(error) = way else { panic!("a stranger was believed") };
            assert_eq!(error.to_string(), "TLS: invalid peer certificate: UnknownIssuer");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_is_resumed_on_the_next_connection() {
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key, pem) = certificate(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
        let speech = test_backend::Speech::tls(test_backend::Versions::Http1, &cert, &key).unwrap();
        spawn_local(test_backend::run_speaking(listener, None, speech, Default::default()));
        let to = destination(Scheme::Https, &authority, &BackendTls::new(&pem).unwrap());
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let Transport::Tls(mut stream) = reach(&to, to.tls.offering_http1()).await.unwrap() else {
                panic!("no TLS")
            };
            kinds.push(stream.get_ref().1.handshake_kind());
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
            within(stream.read_to_end(&mut Vec::new())).await.unwrap();
        }
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
    })
    .await;
}
