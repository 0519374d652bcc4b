//! The planes and the CLI over mutual TLS, with the token on top.

use std::{fs, path::Path};

use anyhow::Result;
use e2e::{Backend, ConfigFile, Ctl, DataPlane, Database, Output, Program, http, wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const TOKEN: &str = "hush";

/// Writes `ca.pem`, and for each name a certificate of it with its key.
fn certificates(dir: &Path, names: &[&str]) -> Result<()> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(dir.join("ca.pem"), authority.pem())?;
    for name in names {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".into(), "127.0.0.2".into()])?.signed_by(&key, &authority)?;
        fs::write(dir.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

async fn status(dir: &Path, endpoint: &str, args: &[&str]) -> Result<Output> {
    let ca = dir.join("ca.pem").display().to_string();
    Ctl::new(endpoint, Some(TOKEN)).call(&[&["status", "-o", "json", "--ca", &ca], args].concat()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planes_and_cli_know_each_other_by_certificate() -> Result<()> {
    let (database, backend, dir) = (Database::sqlite()?, Backend::start().await?, tempfile::tempdir()?);
    certificates(dir.path(), &["control", "data", "person"])?;
    let file = |name: &str| dir.path().join(name).display().to_string();
    let mut config = ConfigFile::new(database.url());
    config.backend_urls.push(backend.url());
    let mut control = Program::new("controlplane")
        .arg("--config")
        .arg(config.write(dir.path())?)
        .args(["--admin-tls-cert".into(), file("control.pem"), "--admin-tls-key".into(), file("control.key")])
        .args(["--admin-tls-client-ca".into(), file("ca.pem")])
        .env("BALANCER_ADMIN_TOKEN", TOKEN)
        .start()?;
    let endpoint = format!("https://{}", control.listening("admin").await?);

    let program = DataPlane::program(std::slice::from_ref(&endpoint), &dir.path().join("state"), Some(TOKEN))
        .args(["--control-plane-ca".into(), file("ca.pem")])
        .args(["--control-plane-cert".into(), file("data.pem"), "--control-plane-key".into(), file("data.key")]);
    let data = DataPlane::start(program).await?;
    data.ready().await?;
    let answer = async || http::get(data.proxy(), "/").await.is_ok_and(|answer| answer.status == 200);
    wait::until_true("the backend to answer through the data plane", answer).await?;

    let (cert, key) = (file("person.pem"), file("person.key"));
    let seen = status(dir.path(), &endpoint, &["--cert", &cert, "--key", &key]).await?;
    assert_eq!(seen.code, 0, "{seen:?}");
    let replicas = serde_json::from_str::<serde_json::Value>(&seen.stdout)?["replicas"].as_array().map(Vec::len);
    assert_eq!(replicas, Some(1), "{seen:?}");
    let stranger = status(dir.path(), &endpoint, &[]).await?;
    assert_eq!(stranger.code, 1, "{stranger:?}");
    assert!(stranger.stderr.contains("--cert"), "{stranger:?}");
    Ok(())
}
