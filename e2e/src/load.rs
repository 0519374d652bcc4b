//! Requests without pause from many connections, and what became of each.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use crate::{
    http::{Sender, connect, whole},
    wait,
};

/// Load on one address until [`stop`](Load::stop).
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    connections: JoinSet<Tally>,
}

/// What became of all requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer, and why.
    pub failures: Vec<String>,
    /// The longest that one took.
    pub slowest: Duration,
}

impl Load {
    /// Starts `connections` clients that send `GET target` one after the other.
    pub fn start(address: SocketAddr, connections: usize, target: &str) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for _ in 0..connections {
            set.spawn(client(address, target.to_owned(), stop.clone(), done.clone()));
        }
        Self { stop, done, connections: set }
    }

    /// Waits until `count` more requests are done: the load is really there.
    ///
    /// # Errors
    /// When they do not get done.
    pub async fn proceed(&self, count: u64) -> Result<()> {
        let goal = self.done.load(Relaxed) + count;
        wait::until_true("load to proceed", async || self.done.load(Relaxed) >= goal).await.map(drop)
    }

    /// Ends the load after the requests in flight.
    ///
    /// # Errors
    /// When a client itself broke.
    pub async fn stop(mut self) -> Result<Tally> {
        self.stop.store(true, Relaxed);
        let mut tally = Tally::default();
        while let Some(one) = self.connections.join_next().await {
            tally.add(one.context("a client of the load panicked")?);
        }
        Ok(tally)
    }
}

impl Tally {
    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.failures.len() as u64
    }

    /// Asserts that all were answered 200.
    pub fn assert_all_served(&self) {
        let served = self.statuses.get(&200).copied().unwrap_or_default();
        assert!(served > 0 && served == self.requests(), "{self:?}");
    }

    fn add(&mut self, other: Self) {
        other.statuses.into_iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
        self.failures.extend(other.failures);
        self.slowest = self.slowest.max(other.slowest);
    }

    fn count(&mut self, result: Result<u16>, took: Duration) {
        match result {
            Ok(status) => *self.statuses.entry(status).or_default() += 1,
            Err(error) => self.failures.push(format!("{error:#}")),
        }
        self.slowest = self.slowest.max(took);
    }
}

async fn client(address: SocketAddr, target: String, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> Tally {
    let (mut tally, mut idle) = (Tally::default(), None);
    while !stop.load(Relaxed) {
        let start = Instant::now();
        let answer = one(address, &target, &mut idle).await;
        tally.count(answer, start.elapsed());
        done.fetch_add(1, Relaxed);
    }
    tally
}

/// One request, on the idle connection while the server keeps it.
async fn one(address: SocketAddr, target: &str, idle: &mut Option<Sender>) -> Result<u16> {
    let kept = match idle.take() {
        Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
        None => None,
    };
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(address).await?,
    };
    let request = Request::get(target).header("host", address.to_string()).body(Full::new(Bytes::new()))?;
    let exchange = async { whole(sender.send_request(request).await.context("no answer")?).await };
    let answer = wait::bounded("a request of the load", exchange).await??;
    if answer.header("connection") != "close" {
        *idle = Some(sender);
    }
    Ok(answer.status)
}
