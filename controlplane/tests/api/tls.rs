//! TLS on the admin port.

use std::{path::Path, sync::Arc};

use balancer_proto::v1::{GetStatusRequest, status_service_client::StatusServiceClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    harness::{Running, until, within},
    sync::Replica,
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Certificate and key in PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// For this machine, and for whoever connects from it.
    fn issue(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        Pair { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// Certificates in files and the configuration that names them.
struct Files {
    dir: tempfile::TempDir,
    server: Authority,
    clients: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap(), server: Authority::new(), clients: Authority::new() };
        files.write_pair(&files.server.issue());
        files.write("clients.pem", &files.clients.pem());
        files
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn write_pair(&self, pair: &Pair) {
        self.write("cert.pem", &pair.cert);
        self.write("key.pem", &pair.key);
    }

    fn yaml(&self) -> String {
        format!("admin: {{ tls: {{ cert: {}, key: {} }} }}", self.path("cert.pem"), self.path("key.pem"))
    }

    fn mutual(&self, more: &str) -> String {
        let (cert, key, ca) = (self.path("cert.pem"), self.path("key.pem"), self.path("clients.pem"));
        format!("admin: {{ {more} tls: {{ cert: {cert}, key: {key}, client_ca: {ca} }} }}")
    }
}

fn channel(running: &Running, authority: &Authority, identity: Option<Pair>) -> Channel {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let tls = match identity {
        Some(pair) => tls.identity(Identity::from_pem(pair.cert, pair.key)),
        None => tls,
    };
    let endpoint = Endpoint::try_from(format!("https://{}", running.address)).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

async fn ask(channel: Channel, token: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(GetStatusRequest {});
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    within(StatusServiceClient::new(channel).get_status(request)).await.map(drop)
}

/// One HTTP/1.1 request, by hand.
async fn get(running: &Running, authority: &Authority, path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.unwrap();
    // A server that closes without saying so at the TLS level has said everything at the HTTP level.
    let _ = within(stream.read_to_string(&mut answer)).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_see_a_certificate_and_speak_both_versions_of_http() {
    let files = Files::new();
    let running = Running::start(&files.yaml()).await;
    ask(channel(&running, &files.server, None), None).await.unwrap();
    assert!(get(&running, &files.server, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(channel(&running, &Authority::new(), None), None).await.is_err());
    assert!(ask(running.channel(), None).await.is_err());
    let failures = |page: &String| page.contains("balancer_controlplane_tls_handshake_failures_total 2\n");
    until(|| get(&running, &files.server, "/metrics"), failures).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_client_ca_only_its_certificates_get_in_and_the_token_counts_too() {
    let files = Files::new();
    let running = Running::start(&files.mutual("token: s3cret,")).await;
    let token = Some("s3cret");
    for identity in [None, Some(Authority::new().issue()), Some(files.server.issue())] {
        let refused = ask(channel(&running, &files.server, identity), token).await.unwrap_err();
        assert_ne!(refused.code(), Code::Unauthenticated, "not even asked for a token: {refused:?}");
    }
    let known = || channel(&running, &files.server, Some(files.clients.issue()));
    assert_eq!(ask(known(), None).await.unwrap_err().code(), Code::Unauthenticated);
    ask(known(), token).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_planes_follow_over_mutual_tls() {
    let files = Files::new();
    let running = Running::start(&files.mutual("")).await;
    let mut replica = Replica::connect(channel(&running, &files.server, Some(files.clients.issue()))).await;
    assert!(replica.step().await[0].full);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_configuration_again_reads_the_certificates_again() {
    let files = Files::new();
    let running = Running::start(&files.mutual("")).await;
    let (before, after) = (files.clients.issue(), Authority::new());
    ask(channel(&running, &files.server, Some(files.clients.issue())), None).await.unwrap();
    files.write("clients.pem", "nonsense");
    assert!(running.reload(&files.mutual("")).await.is_err());
    ask(channel(&running, &files.server, Some(before)), None).await.unwrap();

    files.write("others.pem", &after.pem());
    running.reload(&files.mutual("").replace("clients.pem", "others.pem")).await.unwrap();
    let asks = || ask(channel(&running, &files.server, Some(after.issue())), None);
    until(asks, Result::is_ok).await.unwrap();
    assert!(ask(channel(&running, &files.server, Some(files.clients.issue())), None).await.is_err());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_noticed_and_a_broken_one_changes_nothing() {
    let files = Files::new();
    let running = Running::start(&files.yaml()).await;
    ask(channel(&running, &files.server, None), None).await.unwrap();
    let renewed = Authority::new();
    // A key that does not fit its certificate yet is what a renewal looks like half-way.
    let pair = renewed.issue();
    files.write("key.pem", &pair.key);
    files.write_pair(&pair);
    until(|| ask(channel(&running, &renewed, None), None), Result::is_ok).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_never_finishes_the_handshake_does_not_hold_up_the_end() {
    let files = Files::new();
    let running = Running::start(&files.yaml()).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    // The next one is accepted only after this one was.
    ask(channel(&running, &files.server, None), None).await.unwrap();
    let begun = tokio::time::Instant::now();
    running.stop().await;
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(!matches!(silent.read(&mut [0]).await, Ok(1..)));
}

#[test]
fn what_cannot_be_used_is_named() {
    let files = Files::new();
    let load = |yaml: &str| {
        let file = Path::new(files.dir.path()).join("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        let args = controlplane::config::Args { config: Some(file), ..Default::default() };
        controlplane::config::load(&args).map(|config| config.admin.tls).map_err(|e| e.to_string())
    };
    assert!(load(&files.mutual("")).unwrap().is_some_and(|tls| tls.files().client_ca.is_some()));
    assert!(load("admin: { tls: { cert: '', key: '' } }").unwrap().is_none());
    files.write("other.pem", &Authority::new().issue().key);
    files.write("empty.pem", "");
    for (yaml, key, expected) in [
        (files.yaml().replace("cert.pem", "none.pem"), "admin.tls.cert", "none.pem"),
        (files.yaml().replace("cert.pem", "empty.pem"), "admin.tls.cert", "it holds none"),
        (files.yaml().replace("key.pem", "cert.pem"), "admin.tls.key", "a private key"),
        (files.yaml().replace("key.pem", "other.pem"), "admin.tls.key", "the private key of"),
        (files.mutual("").replace("clients.pem", "empty.pem"), "admin.tls.client_ca", "it holds none"),
        (format!("admin: {{ tls: {{ cert: {} }} }}", files.path("cert.pem")), "admin.tls.cert", "admin.tls.key"),
        (format!("admin: {{ tls: {{ key: {} }} }}", files.path("key.pem")), "admin.tls.key", "admin.tls.cert"),
        (
            format!("admin: {{ tls: {{ client_ca: {} }} }}", files.path("clients.pem")),
            "admin.tls.client_ca",
            "admin.tls.cert",
        ),
        ("admin: { tls: { crt: x } }".into(), "admin.tls.crt", "did you mean cert?"),
    ] {
        let said = load(&yaml).unwrap_err();
        assert!(said.contains(key) && said.contains(expected), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}
