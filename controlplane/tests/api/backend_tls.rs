//! Backends with `https://` and `h2c://`: how they are checked, and what data planes are told.

use std::path::{Path, PathBuf};

use balancer_proto::v1::{BackendStatus, Health, ListBackendsRequest, backend_service_client::BackendServiceClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use test_backend::{Speech, Versions};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    harness::{Running, until},
    sync::Replica,
};

/// An authority whose certificate is in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, dir: tempfile::tempdir().unwrap() };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn yaml(&self) -> String {
        format!("backend_tls: {{ ca_file: {} }}", self.file().display())
    }

    fn issue(&self, name: &str, until_year: i32) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        params.not_after = date_time_ymd(until_year, 1, 1);
        let (cert_file, key_file) = (self.dir.path().join("cert.pem"), self.dir.path().join("key.pem"));
        std::fs::write(&cert_file, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }
}

/// A test-backend on a free port; the port, and what ends it.
async fn backend(speech: Speech) -> (u16, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, shutdown) = (listener.local_addr().unwrap().port(), CancellationToken::new());
    tokio::spawn(test_backend::run_speaking(listener, None, speech, shutdown.clone()));
    (port, shutdown.drop_guard())
}

fn tls(versions: Versions, (cert, key): (PathBuf, PathBuf)) -> Speech {
    Speech::tls(versions, Path::new(&cert), Path::new(&key)).unwrap()
}

/// What the first check found.
async fn found(url: &str, yaml: &str) -> BackendStatus {
    let running = Running::start(&format!("backend_list: [{{ backend_url: '{url}' }}]\n{yaml}")).await;
    let ask = || async {
        let list = BackendServiceClient::new(running.channel()).list_backends(ListBackendsRequest {}).await.unwrap();
        list.into_inner().backends.remove(0)
    };
    let found = until(ask, |b| b.since_ms.is_some()).await;
    running.stop().await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_checked_in_the_protocol_of_its_url() {
    let authority = Authority::new("ours");
    let certified = |versions| tls(versions, authority.issue("localhost", 2999));
    for (scheme, speech) in [
        ("https", certified(Versions::Http1)),
        ("https", certified(Versions::Http2)),
        ("h2c", Speech::plain(Versions::Http2)),
        ("http", Speech::plain(Versions::Http1)),
    ] {
        let (port, _running) = backend(speech).await;
        let seen = found(&format!("{scheme}://localhost:{port}"), &authority.yaml()).await;
        assert!(seen.health() == Health::Healthy && seen.reason.starts_with("200 in "), "{scheme}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_by_its_own_name() {
    let authority = Authority::new("ours");
    let (port, _running) = backend(tls(Versions::Both, authority.issue("127.0.0.1", 2999))).await;
    let seen = found(&format!("https://127.0.0.1:{port}"), &authority.yaml()).await;
    assert_eq!(seen.health(), Health::Healthy, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_who_it_should_be_is_unhealthy_and_the_reason_says_why() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    for (name, until_year, trusted, why) in [
        ("localhost", 2999, other.yaml(), "UnknownIssuer"),
        ("localhost", 2999, String::new(), "UnknownIssuer"),
        ("elsewhere.test", 2999, authority.yaml(), "not valid for name"),
        ("localhost", 2001, authority.yaml(), "expired"),
    ] {
        let (port, _running) = backend(tls(Versions::Both, authority.issue(name, until_year))).await;
        let seen = found(&format!("https://localhost:{port}"), &trusted).await;
        assert_eq!(seen.health(), Health::Unhealthy, "{seen:?}");
        assert!(seen.reason.starts_with("TLS: ") && seen.reason.contains(why), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_authorities_count_from_the_next_check_on_and_replicas_are_told() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let (port, _running) = backend(tls(Versions::Both, authority.issue("localhost", 2999))).await;
    let yaml = |trusted: &Authority| {
        let check = "config: { health: { interval_sec: 0.02 } }";
        let list = format!("backend_list: [{{ backend_url: 'https://localhost:{port}', {check} }}]");
        format!("{list}\n{}", trusted.yaml())
    };
    let running = Running::start(&yaml(&other)).await;
    let health = || async {
        let list = BackendServiceClient::new(running.channel()).list_backends(ListBackendsRequest {}).await.unwrap();
        list.into_inner().backends[0].health()
    };
    let mut replica = Replica::connect(running.channel()).await;
    let told = |chunk: &balancer_proto::v1::Update| {
        chunk.settings.as_ref().unwrap().backend_tls.clone().unwrap().ca_pem.replace('\r', "")
    };
    assert_eq!(told(&replica.step().await[0]), other.issuer.pem().replace('\r', ""));
    until(health, |health| *health == Health::Unhealthy).await;
    running.reload(&yaml(&authority)).await.unwrap();
    assert_eq!(told(&replica.step().await[0]), authority.issuer.pem().replace('\r', ""));
    until(health, |health| *health == Health::Healthy).await;
    drop(replica);
    running.stop().await;
}
