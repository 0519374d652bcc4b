//! Several control planes, of which one keeps the ledger.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use balancer_proto::v1::{LeaseRequest, LedgerStatus};
use tempfile::TempDir;
use test_postgres::Cluster;
use tonic::transport::{Channel, Endpoint};

use crate::{
    harness::{Running, until},
    lease::{Holder, join, ledger},
};

/// From the end of an authority to the next.
const TAKE_OVER: Duration = Duration::from_secs(5);

async fn start(url: &str) -> Running {
    Running::start_on(TempDir::new().unwrap(), url.to_owned(), "").await
}

async fn authority(channel: Channel) -> LedgerStatus {
    until(|| ledger(channel.clone()), |status| status.authority).await
}

/// A control plane of its own process. Killed when dropped.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(database: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_controlplane"));
        let args = ["--config", "/dev/null", "--admin-port", "0", "--log-format", "json", "--database-url", database];
        let mut child = command.env_clear().args(args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = lines.find_map(|line| Some(line.unwrap()).filter(|line| line.contains("\"listening\"")));
        let line: serde_json::Value = serde_json::from_str(&listening.unwrap()).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: line["address"].as_str().unwrap().to_owned() }
    }

    fn channel(&self) -> Channel {
        Endpoint::try_from(self.url()).unwrap().connect_lazy()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Stops it where it is. Under load that takes a while: a thread has to run to be told.
    async fn stop(&self) {
        self.signal("-STOP");
        until(|| async { self.is_stopped() }, |stopped| *stopped).await;
    }

    fn is_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let stopped = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"));
        threads.flatten().all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(stopped))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_is_the_authority_and_the_other_points_to_it() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let first = start(&url).await;
    let epoch = authority(first.channel()).await.epoch;
    let second = start(&url).await;
    let address = format!("http://{}", first.address);
    let told = until(|| ledger(second.channel()), |status| status.address == address).await;
    assert_eq!(told, LedgerStatus { address: address.clone(), ..LedgerStatus::default() });
    let Err(elsewhere) = Holder::try_join(second.channel(), join("dp-1")).await else { panic!("it let me in") };
    assert_eq!(elsewhere.address, address);
    drop(Holder::join(first.channel(), join("dp-1")).await);
    first.stop().await;
    let stopped = Instant::now();
    let status = authority(second.channel()).await;
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    assert!(status.epoch > epoch);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_authority_is_followed_within_a_second() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let first = Process::start(&url);
    let epoch = authority(first.channel()).await.epoch;
    let second = Process::start(&url);
    until(|| ledger(second.channel()), |status| status.address == first.url()).await;
    drop(first);
    let killed = Instant::now();
    let status = authority(second.channel()).await;
    assert!(killed.elapsed() < Duration::from_millis(1_500), "{:?}", killed.elapsed());
    assert!(status.epoch > epoch && status.address == second.url());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_was_stopped_is_followed_and_grants_nothing_when_it_goes_on() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let first = Process::start(&url);
    let epoch = authority(first.channel()).await.epoch;
    let second = Process::start(&url);
    until(|| ledger(second.channel()), |status| status.address == first.url()).await;
    let mut holder = Holder::join(first.channel(), join("dp-1")).await;
    first.stop().await;
    let stopped = Instant::now();
    holder.ask("gold", 1.0).await;
    let status = authority(second.channel()).await;
    assert!(stopped.elapsed() < TAKE_OVER, "{:?}", stopped.elapsed());
    assert!(status.epoch > epoch);
    first.signal("-CONT");
    loop {
        match holder.next().await {
            Ok(response) => assert_eq!(response.unwrap().grants, [], "it is not the authority"),
            Err(end) => break assert_eq!(end.code(), tonic::Code::Unavailable, "{end:?}"),
        }
        holder.say(LeaseRequest::default()).await;
    }
    let told = until(|| ledger(first.channel()), |status| status.address == second.url()).await;
    assert!(!told.authority);
    assert!(ledger(second.channel()).await.authority);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_back_has_an_authority_again() {
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    let epoch = authority(running.channel()).await.epoch;
    let holder = Holder::join(running.channel(), join("dp-1")).await;
    cluster.kill().unwrap();
    assert_eq!(holder.end().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert!(!ledger(running.channel()).await.authority);
    cluster.start_again().unwrap();
    let started = Instant::now();
    assert!(authority(running.channel()).await.epoch > epoch);
    assert!(started.elapsed() < TAKE_OVER, "{:?}", started.elapsed());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_ends_the_authority_in_time() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    let running = start(&url).await;
    authority(running.channel()).await;
    let holder = Holder::join(running.channel(), join("dp-1")).await;
    cluster.pause().unwrap();
    let paused = Instant::now();
    assert_eq!(holder.end().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert!(paused.elapsed() < Duration::from_secs(2), "{:?}", paused.elapsed());
    cluster.resume().unwrap();
    authority(running.channel()).await;
    running.stop().await;
}
