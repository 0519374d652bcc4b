//! The stream over mutual TLS.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Certificate;

use super::{
    control_plane::ControlPlane,
    stream::{ack, follow_with},
};
use crate::{
    fixtures::full,
    sync::{ControlPlaneTls, Identity, SyncOptions, connect},
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key in PEM, for this machine.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory for the data plane's files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ca(&self, authority: &Authority) -> Option<PathBuf> {
        Some(self.write("ca.pem", &authority.0.pem()))
    }

    fn identity(&self, (cert, key): (String, String)) -> Identity {
        Identity { cert: self.write("cert.pem", &cert), key: self.write("key.pem", &key) }
    }
}

async fn control_plane(server: &Authority, clients: &Authority) -> ControlPlane {
    let (cert, key) = server.issue();
    let identity = tonic::transport::Identity::from_pem(cert, key);
    ControlPlane::start_tls(identity, Certificate::from_pem(clients.0.pem())).await
}

#[tokio::test]
async fn a_certificate_renewed_on_disk_is_shown_from_the_next_stream_on() {
    let (server, clients, files) = (Authority::new(), Authority::new(), Files::new());
    let (mut control_plane, wrong) = (control_plane(&server, &clients).await, Authority::new());
    let tls = ControlPlaneTls { ca: files.ca(&server), identity: Some(files.identity(wrong.issue())) };
    let plane = follow_with(vec![control_plane.uri.clone()], tls);
    let failed = || plane.shared.metrics.sync.failures_total() > 0;
    while !failed() {
        tokio::task::yield_now().await;
    }
    files.identity(clients.issue());
    let (mut stream, _) = control_plane.accept().await;
    stream.welcome(1000).await;
    stream.update(full(1, &[])).await;
    assert_eq!(stream.answer().await, ack(1));
    plane.shutdown.cancel();
    plane.task.await.unwrap();
}

#[tokio::test]
async fn why_there_is_no_stream_is_said() {
    let (server, clients, files) = (Authority::new(), Authority::new(), Files::new());
    let control_plane = control_plane(&server, &clients).await;
    let open = async |tls: ControlPlaneTls| {
        let (_sender, receiver) = tokio::sync::mpsc::channel(1);
        let control_planes = vec![control_plane.uri.clone()];
        let options = SyncOptions { control_planes, token: None, tls, replica_id: watch::channel("r".into()).1 };
        connect::open(&control_plane.uri, &options, ReceiverStream::new(receiver)).await.unwrap_err().to_string()
    };
    let strangers_ca = open(ControlPlaneTls { ca: files.ca(&clients), identity: None }).await;
    assert!(strangers_ca.contains("invalid peer certificate"), "{strangers_ca}");
    let public = open(ControlPlaneTls::default()).await;
    assert!(public.contains("UnknownIssuer"), "{public}");
    let nobody = open(ControlPlaneTls { ca: files.ca(&server), identity: None }).await;
    assert!(nobody.contains("--control-plane-cert"), "{nobody}");
    let gone = open(ControlPlaneTls { ca: Some("/nowhere/ca.pem".into()), identity: None }).await;
    assert!(gone.starts_with("/nowhere/ca.pem: No such file"), "{gone}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (authority, files) = (Authority::new(), Files::new());
    let good = files.identity(authority.issue());
    let other = files.write("other.pem", &authority.issue().1);
    let empty = files.write("empty.pem", "");
    let check = |ca: &Option<PathBuf>, cert: &PathBuf, key: &PathBuf| {
        let identity = Some(Identity { cert: cert.clone(), key: key.clone() });
        ControlPlaneTls { ca: ca.clone(), identity }.check().map_err(|fault| fault.path)
    };
    let ca = files.ca(&authority);
    assert!(check(&ca, &good.cert, &good.key).is_ok());
    assert_eq!(check(&Some(empty.clone()), &good.cert, &good.key).unwrap_err(), empty);
    assert_eq!(check(&ca, &good.cert, &other).unwrap_err(), good.cert);
    assert_eq!(check(&ca, &empty, &good.key).unwrap_err(), empty);
    assert_eq!(check(&ca, &good.cert, &good.cert).unwrap_err(), good.cert);
}
