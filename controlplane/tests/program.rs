//! The program itself: exit codes, signals, log lines.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Lines, Read, Write},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use tempfile::TempDir;

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_controlplane"));
    command.current_dir(dir).env_clear();
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn validate_checks_and_starts_nothing() {
    let dir = TempDir::new().unwrap();
    let good = run(dir.path(), &["--validate"]);
    assert_eq!((good.status.code(), stderr(&good).as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let unset =
        program(dir.path()).arg("--validate").env("BALANCER_CONFIG", "").env("BALANCER_ADMIN_TOKEN", "").output();
    assert_eq!(unset.unwrap().status.code(), Some(0), "an empty variable counts as not set");
    std::fs::write(dir.path().join("c.yaml"), "admin:\n  prt: 1\n").unwrap();
    let bad = run(dir.path(), &["--validate", "--config", "c.yaml"]);
    assert_eq!(bad.status.code(), Some(64));
    assert_eq!(stderr(&bad), "controlplane: configuration: c.yaml:2: admin.prt: unknown key; did you mean port?\n");
}

#[test]
fn a_key_given_twice_is_named() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "admin:\n  port: 1\n  port: 2\n").unwrap();
    let bad = run(dir.path(), &["--validate", "--config", "c.yaml"]);
    assert_eq!(bad.status.code(), Some(64));
    let said = "controlplane: configuration: c.yaml:3: expected each key once, but port is given here again: remove one of them\n";
    assert_eq!(stderr(&bad), said);
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let dir = TempDir::new().unwrap();
    assert_eq!(run(dir.path(), &["--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(dir.path(), &["--admin-host", "0.0.0.0"]).status.code(), Some(64));
    let nowhere = run(dir.path(), &["--admin-port", "0", "--database-url", "sqlite:///nowhere/b.db"]);
    assert_eq!(nowhere.status.code(), Some(64));
    assert!(stderr(&nowhere).contains("/nowhere/b.db: its directory does not exist"), "{}", stderr(&nowhere));
}

#[test]
fn what_waiting_does_not_mend_ends_the_start_with_a_sentence() {
    // Asks everybody for a password but the user who makes the roles.
    let host =
        ["local all all trust", "host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"];
    let options = test_postgres::Options { hba: host.map(str::to_owned).into(), ..Default::default() };
    let cluster = test_postgres::Cluster::start_with(&options).unwrap();
    cluster.execute("CREATE ROLE me LOGIN PASSWORD 'right'").unwrap();
    let (dir, address) = (TempDir::new().unwrap(), format!("127.0.0.1:{}", cluster.port()));
    for (url, said) in [
        (
            format!("postgres://me:wrong@{address}/postgres"),
            "the server refused the password of user \"me\": correct it in",
        ),
        (format!("postgres://me@{address}/postgres"), "the server asks for a password of user \"me\": set it in"),
        (format!("postgres://postgres@{address}/none"), "the server has no database \"none\": create it, or name"),
        (
            format!("postgres://postgres@{address}/postgres?sslmode=require"),
            "the server does not speak TLS, and database.sslmode",
        ),
    ] {
        let ended = run(dir.path(), &["--admin-port", "0", "--database-url", &url]);
        assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
        let last = stderr(&ended).lines().last().unwrap().to_owned();
        assert!(last.starts_with(&format!("controlplane: database postgres://{address}/")), "{last}");
        assert!(last.contains(said) && !last.contains("does not answer") && !last.contains("wrong"), "{last}");
    }
}

#[test]
fn a_start_without_a_database_waits_and_a_signal_ends_it_at_once() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "database: { url: 'postgres://me:secret@127.0.0.1:1/b' }").unwrap();
    let mut process = Process::start(dir.path());
    let waiting = process.line("waiting for the database");
    let error = waiting["error"].as_str().unwrap();
    assert!(error.starts_with("the database does not answer: ") && !error.contains("secret"), "{error}");
    process.line("\"listening\"");
    let asked = std::time::Instant::now();
    process.signal("-TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed().as_secs() < 3, "{:?}", asked.elapsed());
}

#[test]
fn validate_finds_what_is_missing_for_the_database() {
    let dir = TempDir::new().unwrap();
    for (args, said) in [
        (
            &["--database-url", "sqlite:///nowhere/b.db"][..],
            "--database-url (or BALANCER_DATABASE_URL): database.url: ",
        ),
        (
            &["--database-url", "postgres://h/b?sslmode=verify-full", "--database-sslrootcert", "/nowhere.pem"][..],
            "--database-sslrootcert (or BALANCER_DATABASE_SSLROOTCERT): database.sslrootcert: ",
        ),
    ] {
        let output = run(dir.path(), &[&["--validate"], args].concat());
        assert_eq!(output.status.code(), Some(64));
        assert!(stderr(&output).contains(said) && stderr(&output).contains("/nowhere"), "{}", stderr(&output));
    }
}

#[test]
fn a_misspelt_log_level_is_refused() {
    let dir = TempDir::new().unwrap();
    for bad in ["inof", "info,contrlplane"] {
        let output = run(dir.path(), &["--validate", "--log-level", bad]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("expected one of off, error, warn"), "{}", stderr(&output));
    }
    assert_eq!(run(dir.path(), &["--validate", "--log-level", "INFO,controlplane::hub=debug"]).status.code(), Some(0));
}

#[test]
fn a_start_without_the_file_does_not_take_its_backends_away() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "backend_list: [{ backend_url: 'http://127.0.0.1:1' }]").unwrap();
    let mut process = Process::start(dir.path());
    process.line("\"listening\"");
    process.signal("-TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    let elsewhere = run(dir.path(), &["--admin-port", "0"]);
    assert_eq!(elsewhere.status.code(), Some(64), "{}", stderr(&elsewhere));
    assert!(stderr(&elsewhere).contains("the database holds 1 backends of one"), "{}", stderr(&elsewhere));
}

#[test]
fn a_signal_ends_a_start_that_waits_for_the_database() {
    let cluster = test_postgres::Cluster::start().unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("c.yaml"), format!("database: {{ url: '{}' }}", cluster.url())).unwrap();
    // Another control plane migrates, and takes long.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _migrating = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("SELECT pg_advisory_lock(7813052174)").await.unwrap();
        client
    });
    let mut process = Process::start(dir.path());
    process.line("\"configuration\"");
    process.signal("-INT");
    process.line("\"stopping: ");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

/// A control plane of its own process. Killed when dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Process {
    fn start(dir: &Path) -> Self {
        let args = ["--config", "c.yaml", "--admin-port", "0", "--log-format", "json"];
        let mut child =
            program(dir).args(args).env("BALANCER_ADMIN_TOKEN", "hush").stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next log line that holds `text`. Every line up to it is JSON without the token.
    fn line(&mut self, text: &str) -> serde_json::Value {
        for line in &mut self.lines {
            let line = line.unwrap();
            assert!(!line.contains("hush"));
            let json = serde_json::from_str(&line).unwrap();
            if line.contains(text) {
                return json;
            }
        }
        panic!("it ended without saying {text:?}");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn signals_reload_and_stop() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, "strategy: random").unwrap();
    let mut process = Process::start(dir.path());
    let listening = process.line("\"listening\"");
    assert_eq!(listening["listener"], "admin");
    assert!(listening["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    std::fs::write(&file, "strategy: best").unwrap();
    process.signal("-HUP");
    let refused = process.line("stays as it was");
    assert!(refused["error"].as_str().unwrap().contains("c.yaml:1: strategy: expected one of"), "{refused}");
    std::fs::write(&file, "strategy: p2c").unwrap();
    process.signal("-HUP");
    assert_eq!(process.line("backends and settings applied")["settings"], true);
    std::fs::write(&file, "strategy: p2c\nserver: { port: 1 }\nadmin: { max_connections: 9 }").unwrap();
    process.signal("-HUP");
    assert_eq!(process.line("only after a restart")["keys"], "server.port, admin.max_connections");
    process.signal("-TERM");
    process.line("\"stopping: ");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_configuration_that_cannot_be_read_to_its_end_blocks_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, "strategy: random").unwrap();
    let mut process = Process::start(dir.path());
    process.line("\"listening\"");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    process.signal("-HUP");
    // Opening for writing ends when somebody reads.
    let held = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    let asked = std::time::Instant::now();
    process.signal("-TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    drop(held);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("c.yaml"), "").unwrap();
    let mut process = Process::start(dir.path());
    let address = process.line("\"listening\"")["address"].as_str().unwrap().to_owned();
    // A request in flight, for which the first signal waits 10 s.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = "POST /limits/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hush\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    process.signal("-TERM");
    process.line("\"stopping: ");
    process.signal("-INT");
    process.line("\"stopped at once\"");
    assert_eq!(process.child.wait().unwrap().code(), Some(1));
}
