//! sslmode, with libpq's meanings, against a server with a certificate for `localhost`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use controlplane::store::{DatabaseConfig, Store, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use test_postgres::{Cluster, Options};

struct Server {
    cluster: Cluster,
    authority: PathBuf,
    stranger: PathBuf,
    _directory: TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_decides_what_is_verified() {
    let server = server();
    let (own, stranger) = (Some(server.authority.as_path()), Some(server.stranger.as_path()));
    for (host, mode, root, works) in [
        ("127.0.0.1", "prefer", None, true),
        ("127.0.0.1", "require", None, true),
        ("127.0.0.1", "require", stranger, false),
        ("127.0.0.1", "verify-ca", own, true),
        ("127.0.0.1", "verify-ca", stranger, false),
        ("127.0.0.1", "verify-ca", None, false),
        ("127.0.0.1", "verify-full", own, false),
        ("localhost", "verify-full", own, true),
        ("localhost", "verify-full", stranger, false),
    ] {
        let opened = open(server, host, mode, root).await.map(|_| ());
        match opened {
            Ok(()) => assert!(works, "{host} {mode} {root:?}"),
            Err(StoreError::Refused(_)) => assert!(!works, "{host} {mode} {root:?} {opened:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn require_refuses_a_server_without_tls() {
    let plain = Cluster::start().unwrap();
    let config = DatabaseConfig::parse(&format!("{}?sslmode=require", plain.url())).unwrap();
    assert!(matches!(Store::open(&config).await.map(|_| ()), Err(StoreError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_are_encrypted() {
    let store = open(server(), "127.0.0.1", "require", None).await.unwrap();
    store.ping().await.unwrap();
    let admin = crate::fixture::postgres_client(&server().cluster.url()).await;
    let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE application_name = 'balancer' AND datname = 'postgres'";
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1));
    assert!(row.get::<_, i64>(0) > 0);
}

#[tokio::test]
async fn a_bad_root_file_is_named() {
    let config = DatabaseConfig::parse("postgres://h/b?sslmode=verify-full&sslrootcert=/no/such.pem").unwrap();
    let refused = Store::open(&config).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StoreError::Invalid(e) if e.field == "database.sslrootcert"), "{refused:?}");
}

async fn open(server: &Server, host: &str, mode: &str, root: Option<&Path>) -> Result<Store, StoreError> {
    let url = format!("postgres://postgres@{host}:{}/postgres", server.cluster.port());
    Store::open(&DatabaseConfig::parse(&url)?.with_tls(Some(mode), root)?).await
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let (authority, stranger) = (new_authority(), new_authority());
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
        let file = |name: &str, pem: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let tls = Some((certificate.pem(), key.serialize_pem()));
        Server {
            cluster: Cluster::start_with(&Options { tls, ..Options::default() }).unwrap(),
            authority: file("authority.pem", authority.pem()),
            stranger: file("stranger.pem", stranger.pem()),
            _directory: directory,
        }
    })
}

fn new_authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}
