//! One client's requests, spread over data planes, and what came of them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::{
    DataPlane,
    http::{self, Sender},
    wait,
};
use http_body_util::Full;
use tokio::task::{JoinHandle, JoinSet};

/// Time between two requests of a client: some 150 in a second.
const PACE: Duration = Duration::from_millis(6);

/// Requests of one client that go on until they are stopped.
pub(crate) struct Demand {
    client: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<(Instant, Instant)>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    requests: AtomicU64,
    admitted: AtomicU64,
}

/// What came of them.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) client: &'static str,
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    /// From before the first request to after the last answer.
    pub(crate) took: Duration,
    begun: Instant,
}

impl Demand {
    /// `choose` says which data plane gets a request, by the time since the start and its number.
    pub(crate) fn start(planes: &[DataPlane], client: &'static str, choose: fn(Duration, u64) -> usize) -> Self {
        let shared = Arc::new(Shared::default());
        let addresses = planes.iter().map(DataPlane::proxy).collect();
        let task = tokio::spawn(run(addresses, client, choose, shared.clone()));
        Self { client, shared, task }
    }

    /// Waits for so many more answers.
    pub(crate) async fn proceed(&self, count: u64) -> Result<()> {
        let goal = self.shared.requests.load(Relaxed) + count;
        wait::until_true("demand to proceed", async || self.shared.requests.load(Relaxed) >= goal).await.map(drop)
    }

    /// Admitted so far.
    pub(crate) fn admitted(&self) -> u64 {
        self.shared.admitted.load(Relaxed)
    }

    /// Goes on for so long, and then stops.
    pub(crate) async fn lasting(self, time: Duration) -> Result<Outcome> {
        tokio::time::sleep(time).await;
        self.shared.stop.store(true, Relaxed);
        let (begun, ended) = self.task.await?;
        let (requests, admitted) = (self.shared.requests.load(Relaxed), self.shared.admitted.load(Relaxed));
        Ok(Outcome { client: self.client, requests, admitted, took: ended - begun, begun })
    }
}

impl Outcome {
    /// Asserts that no more was admitted than `capacity + rate x time`, and at least `least` of that, where the token that
    /// is about to be whole counts.
    pub(crate) fn assert_within(&self, capacity: f64, rate: f64, least: f64) {
        let allowed = capacity + rate * self.took.as_secs_f64();
        let ratio = self.admitted as f64 / allowed;
        println!(
            "{}: admitted {} of {allowed:.1} = {ratio:.4} ({} requests)",
            self.client, self.admitted, self.requests
        );
        assert!(self.admitted as f64 <= allowed, "{self:?}");
        assert!((self.admitted + 1) as f64 >= least * allowed, "{self:?}");
    }

    /// Both together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let begun = self.begun.min(other.begun);
        let ended = (self.begun + self.took).max(other.begun + other.took);
        Self {
            client: self.client,
            requests: self.requests + other.requests,
            admitted: self.admitted + other.admitted,
            took: ended - begun,
            begun,
        }
    }
}

async fn run(
    planes: Vec<SocketAddr>,
    client: &'static str,
    choose: fn(Duration, u64) -> usize,
    shared: Arc<Shared>,
) -> (Instant, Instant) {
    let begun = Instant::now();
    let mut kept: Vec<Option<Sender>> = planes.iter().map(|_| None).collect();
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in 0.. {
        if shared.stop.load(Relaxed) {
            break;
        }
        ticks.tick().await;
        let index = choose(begun.elapsed(), turn);
        // One that is killed answers nothing, and what it did not answer nobody got.
        let admitted = request(planes[index], &mut kept[index], client).await.unwrap_or(None);
        shared.admitted.fetch_add(u64::from(admitted == Some(true)), Relaxed);
        shared.requests.fetch_add(1, Relaxed);
    }
    (begun, Instant::now())
}

/// Whether a request was admitted; `None`: nobody listens.
async fn request(address: SocketAddr, kept: &mut Option<Sender>, client: &str) -> Result<Option<bool>> {
    let ready = match kept.take() {
        Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
        None => None,
    };
    let mut sender = match ready {
        Some(sender) => sender,
        None => match http::connect(address).await {
            Ok(sender) => sender,
            Err(_) => return Ok(None),
        },
    };
    let request = hyper::Request::get("/")
        .header("host", address.to_string())
        .header("x-api-key", client)
        .body(Full::new(Bytes::new()))?;
    let exchange = async { http::whole(sender.send_request(request).await?).await };
    let answer = wait::bounded("a request of the demand", exchange).await??;
    ensure!(matches!(answer.status, 200 | 429), "{}", answer.status);
    if answer.header("connection") != "close" {
        *kept = Some(sender);
    }
    Ok(Some(answer.status == 200))
}

/// One request: 1 if it was admitted.
pub(crate) async fn once(plane: &DataPlane, client: &str) -> Result<u64> {
    let status = http::send(plane.proxy(), "GET", "/", &[("x-api-key", client)], "").await?.status;
    ensure!(matches!(status, 200 | 429), "{status}");
    Ok(u64::from(status == 200))
}

/// What came of [`rounds`].
#[derive(Default)]
pub(crate) struct Rounds {
    /// Admitted, also by a data plane that failed later.
    pub(crate) admitted: u64,
    /// Why a data plane was asked no further.
    pub(crate) failed: Vec<anyhow::Error>,
}

impl Rounds {
    /// How many were admitted, where every request must have had its answer.
    pub(crate) fn whole(self) -> Result<u64> {
        self.failed.into_iter().next().map_or(Ok(self.admitted), Err)
    }
}

/// So many requests at each data plane, at all of them at once.
pub(crate) async fn rounds(planes: &[DataPlane], client: &'static str, count: usize) -> Rounds {
    let mut set = JoinSet::new();
    for address in planes.iter().map(DataPlane::proxy) {
        set.spawn(one_after_another(address, client, count));
    }
    let mut all = Rounds::default();
    while let Some(one) = set.join_next().await {
        match one {
            Ok((admitted, failed)) => {
                all.admitted += admitted;
                all.failed.extend(failed);
            }
            Err(panicked) => all.failed.push(panicked.into()),
        }
    }
    all.failed.iter().for_each(|error| println!("a request of {client} failed: {error:#}"));
    all
}

/// How many were admitted until one failed, and why.
async fn one_after_another(address: SocketAddr, client: &str, count: usize) -> (u64, Option<anyhow::Error>) {
    let (mut kept, mut admitted) = (None, 0);
    for _ in 0..count {
        match request(address, &mut kept, client).await {
            Ok(answer) => admitted += u64::from(answer == Some(true)),
            Err(error) => return (admitted, Some(error)),
        }
    }
    (admitted, None)
}
