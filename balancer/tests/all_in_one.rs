//! The program as a process: starts on free ports with demo backends, serves, and stops.

// The lint lets #[test] functions off by itself, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running `balancer`; killed when dropped.
struct Balancer {
    child: Child,
    log: BufReader<ChildStderr>,
    /// Address by listener, as logged.
    addresses: HashMap<String, String>,
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_balancer"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BALANCER_") || name.starts_with("PG_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(["--log-format", "json"]).args(args).stderr(Stdio::piped());
    command
}

impl Balancer {
    fn start(folder: &Path, args: &[&str]) -> Self {
        Self::start_with(folder, args, &["proxy", "admin"])
    }

    /// Waits until these listeners are there.
    fn start_with(folder: &Path, args: &[&str], listeners: &[&str]) -> Self {
        let ports = ["--server-port", "0", "--admin-port", "0"];
        let mut child = command(folder, &[&ports[..], args].concat()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut balancer = Self { child, log, addresses: HashMap::new() };
        while !listeners.iter().all(|name| balancer.addresses.contains_key(*name)) {
            let line = balancer.log_line(|line| line["message"] == "listening");
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            balancer.addresses.insert(text("listener"), text("address"));
        }
        balancer
    }

    /// The next log line that is wanted.
    fn log_line(&mut self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        loop {
            let mut text = String::new();
            assert!(self.log.read_line(&mut text).unwrap() > 0, "balancer ended");
            let line = serde_json::from_str(&text).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    }

    fn get(&self, listener: &str, path: &str) -> String {
        get(&self.addresses[listener], path)
    }

    /// Waits until the proxy has backends: the first answer that is no 503.
    fn first_answer(&self, path: &str) -> String {
        let begin = std::time::Instant::now();
        loop {
            let answer = self.get("proxy", path);
            if !answer.starts_with("HTTP/1.1 503") {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "{answer}");
            std::thread::yield_now();
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended, as it was asked to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const DEMO: [&str; 3] = ["--demo", "--demo-port", "0"];

#[test]
fn serves_requests_and_metrics_of_both_planes_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut balancer = Balancer::start(folder.path(), &DEMO);
    let answer = balancer.first_answer("/a%2Fb?c=d");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("/a%2Fb?c=d"), "{answer}");
    let metrics = balancer.get("admin", "/metrics");
    for name in ["balancer_controlplane_revision", "balancer_backend_in_flight"] {
        assert!(metrics.contains(name), "{name} is missing: {metrics}");
    }
    balancer.signal("TERM");
    assert_eq!(balancer.child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_is_not_ready_while_its_proxy_drains() {
    let folder = tempfile::tempdir().unwrap();
    let mut balancer = Balancer::start(folder.path(), &DEMO);
    assert!(balancer.first_answer("/").starts_with("HTTP/1.1 200"));
    assert!(balancer.get("admin", "/readyz").starts_with("HTTP/1.1 200"));
    let mut download = TcpStream::connect(&balancer.addresses["proxy"]).unwrap();
    download.write_all(b"GET /stream/100000/100 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    download.read_exact(&mut [0; 12]).unwrap();
    balancer.signal("TERM");
    let begin = std::time::Instant::now();
    let answer = loop {
        let answer = balancer.get("admin", "/readyz");
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("proxy: shutting down"), "{answer}");
    assert!(balancer.get("admin", "/healthz").starts_with("HTTP/1.1 200"));
    drop(download);
    assert_eq!(balancer.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_token_joins_the_planes_too() {
    let folder = tempfile::tempdir().unwrap();
    let balancer = Balancer::start(folder.path(), &[&DEMO[..], &["--admin-token", "hush"]].concat());
    assert!(balancer.first_answer("/").starts_with("HTTP/1.1 200"));
    assert!(balancer.get("admin", "/metrics").starts_with("HTTP/1.1 401"));
}

/// Certificates of an authority that has signed nothing for the data plane.
#[test]
fn the_planes_are_joined_whatever_the_admin_port_asks_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    fs::write(folder.path().join("cert.pem"), pair.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    let tls = ["--admin-tls-cert", "cert.pem", "--admin-tls-key", "key.pem", "--admin-tls-client-ca", "cert.pem"];
    let args = [&DEMO[..], &tls, &["--admin-token", "hush"]].concat();
    let mut balancer = Balancer::start_with(folder.path(), &args, &["proxy", "admin", "internal"]);
    assert!(balancer.first_answer("/").starts_with("HTTP/1.1 200"));
    let mut plain = TcpStream::connect(&balancer.addresses["admin"]).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset says as much as an alert.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let internal = &balancer.addresses["internal"];
    assert!(internal.starts_with("127.0.0.1:"));
    for path in ["/limits/get?client_id=a", "/metrics", "/balancer.v1.DataPlaneService/Sync"] {
        assert!(get(internal, path).starts_with("HTTP/1.1 401"), "{path}");
    }
    balancer.signal("TERM");
    assert_eq!(balancer.child.wait().unwrap().code(), Some(0));
}

#[test]
fn hangup_reads_the_file_again_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, "default_limits: { capacity: 7, rate_per_sec: 0 }\n").unwrap();
    let mut balancer = Balancer::start(folder.path(), &[&DEMO[..], &["--config", file.to_str().unwrap()]].concat());
    assert!(balancer.first_answer("/").contains("q=7"));
    fs::write(&file, "default_limitz: unlimited\n").unwrap();
    balancer.signal("HUP");
    balancer.log_line(|line| line["level"] == "ERROR" && line.to_string().contains("default_limitz"));
    assert!(balancer.get("proxy", "/").contains("q=7"));
    fs::write(&file, "default_limits: { capacity: 9, rate_per_sec: 0 }\n").unwrap();
    balancer.signal("HUP");
    let begin = std::time::Instant::now();
    while !balancer.get("proxy", "/").contains("q=9") {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn an_address_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (flag, other) in [("--server-port", "--admin-port"), ("--admin-port", "--server-port")] {
        let output = command(folder.path(), &[flag, &port, other, "0"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
    }
}

#[test]
fn a_plane_that_fails_stops_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let _holder = Balancer::start(folder.path(), &["--database-url", "sqlite://held.db"]);
    let args = ["--server-port", "0", "--admin-port", "0", "--database-url", "sqlite://held.db"];
    let output = command(folder.path(), &args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("balancer: control plane: ") && said.contains("held.db is in use by another"), "{said}");
}

#[test]
fn validate_checks_everything_and_listens_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    let validate = |args: &[&str]| {
        let config = ["--validate", "--config", file.to_str().unwrap()];
        command(folder.path(), &[&config[..], args].concat()).stdout(Stdio::null()).output().unwrap()
    };
    fs::write(&file, "strategy: p2c\n").unwrap();
    assert_eq!(validate(&[]).status.code(), Some(0));
    assert_eq!(validate(&["--threads", "0"]).status.code(), Some(64));
    assert_eq!(validate(&["--demo-port", "1"]).status.code(), Some(2));
    fs::write(&file, "strategi: p2c\n").unwrap();
    let bad = validate(&[]);
    assert_eq!(bad.status.code(), Some(64));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("balancer.yaml") && said.contains("strategi"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a database was made");
}
