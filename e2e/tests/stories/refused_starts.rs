//! What cannot work is said at the start, in words that help.

use std::{fs, path::Path, process::Output};

use anyhow::Result;
use e2e::{ConfigFile, ControlPlane, DataPlane, Database, Program, Setup};

async fn run(program: Program) -> Result<Output> {
    let mut command = program.command()?;
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// Asserts the exit code, and that stderr has each of the words and no panic.
fn assert_ended(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_is_refused() -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let (dir, config) = (tempfile::tempdir()?, deployment.dir.path().join("config.yaml"));
    let on_same_file = run(ControlPlane::program(&config, None)).await?;
    assert_ended(&on_same_file, 1, &["balancer.db"]);

    let other = ConfigFile::new(format!("sqlite://{}", dir.path().join("other.db").display())).write(dir.path())?;
    let port = deployment.control_plane.address().port().to_string();
    let on_same_port = run(ControlPlane::program(&other, None).args(["--admin-port", &port])).await?;
    assert_ended(&on_same_port, 1, &[&deployment.control_plane.address().to_string()]);

    let data_plane = deployment.data_plane()?;
    let listen = data_plane.proxy().to_string();
    let endpoints = [deployment.control_plane.endpoint()];
    let elsewhere = Program::new("dataplane").args(["--control-plane", &endpoints[0], "--state-dir", "none"]);
    let same_port = run(elsewhere.args(["--admin-listen", "127.0.0.1:0", "--listen", &listen])).await?;
    assert_ended(&same_port, 1, &[&listen]);
    let same_state = run(DataPlane::program(&endpoints, &deployment.state_dir(0), None)).await?;
    assert_ended(&same_state, 1, &["state"]);
    assert_eq!(e2e::http::get(data_plane.proxy(), "/").await?.status, 200, "the first goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_named_with_key_and_value() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (yaml, words) in [
        ("default_limits: { capacity: 0, rate_per_sec: 1 }", ["default_limits.capacity", "0"]),
        ("backend_list: [{ backend_url: 'ftp://x' }]", ["backend_list[0].backend_url", "ftp://x"]),
        ("stratgy: random", ["stratgy", "strategy"]),
        ("strategy: rondom", ["strategy", "rondom"]),
        ("admin: { host: 0.0.0.0 }", ["admin.host", "0.0.0.0"]),
        ("admin: { port: 70000 }", ["admin.port", "70000"]),
        ("database: { url: 'mysql://x' }", ["database.url", "postgres://"]),
        ("ticker_rate_sec: soon", ["ticker_rate_sec", "soon"]),
        ("server: [", ["config.yaml", "YAML"]),
    ] {
        let path = dir.path().join("config.yaml");
        fs::write(&path, format!("# a comment\n{yaml}\n"))?;
        for program in ["controlplane", "balancer"] {
            for validate in [&["--validate"][..], &[]] {
                let output = run(Program::new(program).arg("--config").arg(&path).args(validate)).await?;
                assert_ended(&output, 64, &[&words[..], &[&path.display().to_string()]].concat());
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validate_only_looks() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("config.yaml");
    fs::write(&file, "server: { host: 127.0.0.1, port: 8080 }\nticker_rate_sec: 1\n")?;
    for program in ["controlplane", "balancer"] {
        let program = Program::new(program).arg("--config").arg(&file).arg("--validate").dir(dir.path());
        assert_ended(&run(program).await?, 0, &[]);
    }
    assert_ended(&run(Program::new("dataplane").arg("--validate").dir(dir.path())).await?, 0, &[]);
    let left: Vec<_> = fs::read_dir(dir.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    assert_eq!(left, ["config.yaml"], "nothing is made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_and_variables_are_checked_too() -> Result<()> {
    let missing = Path::new("/nowhere/config.yaml");
    assert_ended(&run(ControlPlane::program(missing, None)).await?, 64, &["/nowhere/config.yaml"]);
    for program in ["controlplane", "balancer", "dataplane", "balancerctl", "test-backend"] {
        assert_ended(&run(Program::new(program).arg("--no-such-flag")).await?, 2, &["--no-such-flag"]);
    }
    let threads = run(Program::new("dataplane").env("BALANCER_THREADS", "many")).await?;
    assert_ended(&threads, 64, &["BALANCER_THREADS", "many"]);
    let exposed = run(Program::new("dataplane").args(["--admin-listen", "0.0.0.0:0"])).await?;
    assert_ended(&exposed, 64, &["admin-listen", "--admin-token"]);
    let strategy = run(Program::new("controlplane").env("BALANCER_STRATEGY", "best")).await?;
    assert_ended(&strategy, 64, &["BALANCER_STRATEGY", "best", "round_robin"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_said() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let missing = ConfigFile::new("sqlite:///nowhere/at/all.db".into()).write(dir.path())?;
    assert_ended(&run(ControlPlane::program(&missing, None)).await?, 64, &["/nowhere/at"]);
    let cluster = Database::postgres()?;
    let nameless = cluster.url().replace("postgres@", "postgres:hunter2@");
    let nameless = format!("{nameless}_of_nobody");
    let refused = run(ControlPlane::program(&ConfigFile::new(nameless).write(dir.path())?, None)).await?;
    assert_ended(&refused, 1, &["127.0.0.1", "the server has no database \"postgres_of_nobody\": create it"]);
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("hunter2"));
    Ok(())
}
