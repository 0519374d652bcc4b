//! What the programs say when something is in the way: one line, and what to do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::Result;
use e2e::{ConfigFile, Ctl, Database, Process, Program};
use rcgen::generate_simple_self_signed;

/// A control plane, with TLS or without, and its address.
async fn control_plane(dir: &Path, database: &Database, tls: bool) -> Result<(Process, String)> {
    let mut program = Program::new("controlplane").arg("--config").arg(ConfigFile::new(database.url()).write(dir)?);
    if tls {
        let pair = generate_simple_self_signed(["127.0.0.2".into()])?;
        fs::write(dir.join("cert.pem"), pair.cert.pem())?;
        fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem())?;
        for (flag, file) in [("--admin-tls-cert", "cert.pem"), ("--admin-tls-key", "key.pem")] {
            program = program.arg(flag).arg(dir.join(file));
        }
    }
    let mut process = program.start()?;
    let address = process.listening("admin").await?;
    Ok((process, address.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_scheme_is_told_apart_from_a_server_that_is_gone() -> Result<()> {
    for (tls, scheme, said) in [
        (false, "https", "does not speak TLS: begin --endpoint or BALANCER_ENDPOINT with http://\n"),
        (true, "http", "wants TLS: begin --endpoint or BALANCER_ENDPOINT with https://\n"),
        (true, "https", "name the authority that signed it with --ca or BALANCER_CA\n"),
    ] {
        let (dir, database) = (tempfile::tempdir()?, Database::sqlite()?);
        let (_process, address) = control_plane(dir.path(), &database, tls).await?;
        let output = Ctl::new(&format!("{scheme}://{address}"), None).call(&["status"]).await?;
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{output:?}");
        assert!(output.stderr.contains(&address) && output.stderr.ends_with(said), "{output:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_says_which_and_what_to_do() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let data_plane = Program::new("dataplane").args(["--state-dir", "none"]);
    let proxy = data_plane.clone().args(["--admin-listen", "127.0.0.1:0", "--listen", &address]);
    let admin = data_plane.args(["--listen", "127.0.0.1:0", "--admin-listen", &address]);
    let backend = Program::new("test-backend").args(["--listen", &address]).env("RUST_BACKTRACE", "1");
    for (program, said) in [
        (
            proxy,
            "(proxy): Address already in use (os error 98); is another instance running? set --listen or BALANCER_LISTEN",
        ),
        (admin, "is another instance running? set --admin-listen or BALANCER_ADMIN_LISTEN"),
        (
            backend,
            "choose another address with --listen or BALANCER_TEST_BACKEND_LISTEN: Address already in use (os error 98)",
        ),
    ] {
        let mut command = program.command()?;
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let stderr = String::from_utf8(output.stderr)?;
        let last = stderr.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(last.contains(&format!("cannot listen on {address}")) && last.ends_with(said), "{stderr}");
    }
    Ok(())
}

#[test]
fn docker_without_its_daemon_is_told_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // Compose is there, and nobody answers it.
    let docker = dir.path().join("docker");
    fs::write(&docker, "#!/bin/sh\n[ \"$1 $2\" = 'compose version' ]\n")?;
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/docker-down");
    let output = Command::new(script).env("PATH", path).output()?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("docker does not answer: start its daemon") && stderr.lines().count() == 1, "{stderr}");
    Ok(())
}
