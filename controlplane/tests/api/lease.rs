//! The stream for tokens, and what is shown of it.

use std::time::{Duration, Instant};

use balancer_proto::{
    lease_key,
    v1::{
        AppliedLimit, Ask, Elsewhere, ExplainClientRequest, ExplainClientResponse, GetStatusRequest, Grant, Holding,
        Join, LeaseClient, LeaseRequest, LeaseResponse, LeaseStanding, LedgerStatus, LimitScope, Return, Update,
        data_plane_service_client::DataPlaneServiceClient, status_service_client::StatusServiceClient,
    },
};
use tempfile::TempDir;
use test_postgres::Cluster;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    harness::{Running, until, within},
    raw::get,
    sync::{Replica, set},
};

/// Twenty requests at once, one a second.
const LIMIT: (f64, f64) = (20.0, 1.0);

/// A data plane's side of the stream, by hand.
pub(crate) struct Holder {
    up: mpsc::Sender<LeaseRequest>,
    down: Streaming<LeaseResponse>,
    seq: u64,
    acked: u64,
    pub(crate) welcome: LeaseResponse,
}

pub(crate) fn join(replica_id: &str) -> Join {
    Join { replica_id: replica_id.into(), incarnation: 1, ..Join::default() }
}

pub(crate) fn client(client_id: &str) -> LeaseClient {
    let (capacity, rate_per_sec) = LIMIT;
    LeaseClient { key: lease_key::of_client(client_id), capacity, rate_per_sec, revision: 1 }
}

fn ask(client_id: &str, want: f64) -> Ask {
    Ask { client: Some(client(client_id)), spent: 0.0, tokens: 0.0, want }
}

/// Opens a stream that begins with these requests.
async fn open(
    channel: Channel,
    first: Vec<LeaseRequest>,
) -> (mpsc::Sender<LeaseRequest>, Result<Streaming<LeaseResponse>, Status>) {
    let (up, requests) = mpsc::channel(1024);
    for request in first {
        up.send(request).await.unwrap();
    }
    let down = within(DataPlaneServiceClient::new(channel).lease(ReceiverStream::new(requests))).await;
    (up, down.map(tonic::Response::into_inner))
}

fn first(join: Join) -> LeaseRequest {
    LeaseRequest { seq: 1, join: Some(join), ..LeaseRequest::default() }
}

impl Holder {
    /// Joins; an error is where the authority is.
    pub(crate) async fn try_join(channel: Channel, join: Join) -> Result<Self, Elsewhere> {
        let (up, down) = open(channel, vec![first(join)]).await;
        let mut down = down.unwrap();
        let welcome = within(down.message()).await.unwrap().unwrap();
        match welcome.elsewhere {
            Some(elsewhere) => {
                assert_eq!(within(down.message()).await.unwrap(), None, "the stream ends");
                Err(elsewhere)
            }
            None => Ok(Self { up, down, seq: 1, acked: welcome.seq, welcome }),
        }
    }

    /// Joins as soon as this control plane is the authority.
    pub(crate) async fn join(channel: Channel, join: Join) -> Self {
        let joined = until(|| Self::try_join(channel.clone(), join.clone()), Result::is_ok).await;
        let Ok(holder) = joined else { unreachable!("just checked") };
        holder
    }

    pub(crate) async fn say(&mut self, request: LeaseRequest) {
        self.seq += 1;
        // A stream that has ended says why when it is read.
        let _ = self.up.send(LeaseRequest { seq: self.seq, acked: self.acked, ..request }).await;
    }

    pub(crate) async fn ask(&mut self, client_id: &str, want: f64) {
        self.say(LeaseRequest { asks: vec![ask(client_id, want)], ..LeaseRequest::default() }).await;
    }

    pub(crate) async fn next(&mut self) -> Result<Option<LeaseResponse>, Status> {
        let response = within(self.down.message()).await?;
        if let Some(response) = &response {
            assert_eq!(response.seq, self.acked + 1);
            self.acked = response.seq;
        }
        Ok(response)
    }

    /// What it is granted of a client next; meanwhile it acknowledges.
    async fn granted(&mut self, client_id: &str) -> Grant {
        loop {
            let response = self.next().await.unwrap().unwrap();
            let key = lease_key::of_client(client_id);
            if let Some(grant) = response.grants.iter().find(|grant| grant.key == key && grant.remember.is_none()) {
                return *grant;
            }
            self.say(LeaseRequest::default()).await;
        }
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Result<(), Status> {
        while self.next().await?.is_some() {}
        Ok(())
    }
}

pub(crate) async fn ledger(channel: Channel) -> LedgerStatus {
    let answer = StatusServiceClient::new(channel).get_status(GetStatusRequest {}).await.unwrap();
    answer.into_inner().status.unwrap().ledger.unwrap()
}

async fn explain(channel: Channel, client: &str) -> Result<ExplainClientResponse, Status> {
    let request = ExplainClientRequest { client: client.into() };
    Ok(StatusServiceClient::new(channel).explain_client(request).await?.into_inner())
}

async fn metrics(running: &Running) -> String {
    get(running.address, "/metrics").await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_joins_asks_is_granted_and_leaves_on_sqlite() {
    joins_asks_is_granted_and_leaves(Running::start("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_joins_asks_is_granted_and_leaves_on_postgres() {
    let cluster = Cluster::start().unwrap();
    let url = cluster.create_database().unwrap();
    joins_asks_is_granted_and_leaves(Running::start_on(TempDir::new().unwrap(), url, "").await).await;
}

async fn joins_asks_is_granted_and_leaves(running: Running) {
    set(running.channel(), "gold", LIMIT.0).await;
    let mut holder = Holder::join(running.channel(), join("dp-1")).await;
    let welcome = holder.welcome.welcome.unwrap();
    assert!(welcome.epoch > 0 && welcome.renew_ms < welcome.lease_ms, "{welcome:?}");
    assert_eq!((holder.welcome.echoed, holder.welcome.marks.as_ref().map(|marks| marks.full)), (1, Some(true)));
    assert!(explain(running.channel(), "gold").await.unwrap().free);

    holder.ask("gold", 1.0).await;
    let grant = holder.granted("gold").await;
    assert_eq!((grant.tokens, grant.whole), (LIMIT.0, true), "the only one to use it gets all of it");
    let told = explain(running.channel(), "gold").await.unwrap();
    assert_eq!((told.applied(), told.bucket.as_str(), told.scope()), (AppliedLimit::Own, "gold", LimitScope::Global));
    assert_eq!((told.capacity, told.free, told.holders.len()), (Some(LIMIT.0), false, 1));
    assert!(told.holders[0].whole && told.holders[0].replica_id == "dp-1" && told.holders[0].lease_left_ms <= 2_000);
    assert!(told.verdict.starts_with("dp-1 holds the whole bucket"), "{}", told.verdict);

    // It gets its share as soon as the database remembers it.
    let share = |status: &LedgerStatus| status.members.first().map(|member| member.share);
    while share(&ledger(running.channel()).await) != Some(1.0) {
        holder.next().await.unwrap();
        holder.say(LeaseRequest::default()).await;
    }
    let status = ledger(running.channel()).await;
    assert_eq!((status.authority, status.epoch, status.accounts), (true, welcome.epoch, 1));
    assert_eq!(status.address, format!("http://{}", running.address));
    assert_eq!((status.factor, status.members[0].standing()), (1.0, LeaseStanding::Leased));
    let shown = until(|| metrics(&running), |page| page.contains("balancer_ledger_whole_grants_total 1\n")).await;
    for line in ["balancer_ledger_asks_total 1", "balancer_ledger_accounts 1", "balancer_ledger_authority 1"] {
        assert!(shown.contains(&format!("{line}\n")), "{line}: {shown}");
    }

    let returned = Return { key: client("gold").key, tokens: LIMIT.0, kept: 0.0, idle: true };
    holder.say(LeaseRequest { returns: vec![returned], leaving: true, ..LeaseRequest::default() }).await;
    holder.end().await.unwrap();
    let free = |told: &Result<ExplainClientResponse, Status>| told.as_ref().is_ok_and(|told| told.free);
    until(|| explain(running.channel(), "gold"), free).await.unwrap();
    assert_eq!(ledger(running.channel()).await.members, []);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_two_use_is_recalled_and_shared() {
    let running = Running::start("").await;
    let mut first = Holder::join(running.channel(), join("dp-1")).await;
    let mut second = Holder::join(running.channel(), join("dp-2")).await;
    first.ask("gold", 1.0).await;
    first.granted("gold").await;
    second.ask("gold", 3.0).await;
    let asked = Instant::now();
    let (mut given_back, key) = (false, client("gold").key);
    let grant = loop {
        tokio::select! {
            response = first.next() => {
                if !given_back && response.unwrap().unwrap().recalls.contains(&key) {
                    given_back = true;
                    let returned = Return { key, tokens: 10.0, kept: 5.0, idle: false };
                    first.say(LeaseRequest { returns: vec![returned], ..LeaseRequest::default() }).await;
                } else {
                    first.say(LeaseRequest::default()).await;
                }
            }
            grant = second.granted("gold") => break grant,
        }
    };
    // Unless that took so long that it was told to ask again.
    if asked.elapsed() < Duration::from_millis(20) {
        assert_eq!((grant.tokens, grant.whole), (3.0, false));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_join_is_refused() {
    let running = Running::start("").await;
    drop(Holder::join(running.channel(), join("dp-1")).await);
    let many = |replica_id: &str, more| first(Join { more, ..join(replica_id) });
    for (requests, said) in [
        (vec![LeaseRequest { seq: 1, ..LeaseRequest::default() }], "join: expected in the first message"),
        (vec![LeaseRequest { seq: 2, ..first(join("dp-1")) }], "join: expected in the first message"),
        (vec![first(join(""))], "replica_id: expected 1 to 256 bytes"),
        (vec![first(join("a\nb"))], "replica_id: expected 1 to 256 bytes"),
        (vec![many("a", true), many("b", false)], "join.replica_id: expected the same in every part"),
        (vec![first(Join { share: f64::NAN, ..join("a") })], "is none"),
        (vec![first(Join { holdings: vec![Holding::default()], ..join("a") })], "a client is missing"),
    ] {
        let (_up, down) = open(running.channel(), requests).await;
        let end = within(down.unwrap().message()).await.unwrap_err();
        assert_eq!(end.code(), Code::InvalidArgument, "{end:?}");
        assert!(end.message().contains(said), "{end:?}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_may_come_in_parts() {
    let running = Running::start("").await;
    drop(Holder::join(running.channel(), join("dp-0")).await);
    let part = |client_id: &str, more| {
        let held = Holding { client: Some(client(client_id)), tokens: 0.0, whole: false, known: true };
        first(Join { holdings: vec![held], more, ..join("dp-1") })
    };
    let (up, down) = open(running.channel(), vec![part("a", true), part("b", true), part("c", false)]).await;
    let (mut down, next) = (down.unwrap(), LeaseRequest { seq: 2, acked: 1, ..LeaseRequest::default() });
    assert_eq!(within(down.message()).await.unwrap().unwrap().echoed, 1);
    assert_eq!(ledger(running.channel()).await.accounts, 3);
    up.send(next).await.unwrap();
    while within(down.message()).await.unwrap().unwrap().echoed != 2 {}
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_out_of_order_and_a_second_stream_end_the_first() {
    let running = Running::start("").await;
    let mut holder = Holder::join(running.channel(), join("dp-1")).await;
    holder.seq += 1;
    holder.ask("gold", 1.0).await;
    assert_eq!(holder.end().await.unwrap_err().code(), Code::InvalidArgument);
    let before = Holder::join(running.channel(), join("dp-1")).await;
    let mut after = Holder::join(running.channel(), join("dp-1")).await;
    assert_eq!(before.end().await.unwrap_err().code(), Code::Aborted);
    after.ask("gold", 1.0).await;
    assert!(after.granted("gold").await.tokens >= 1.0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_killed_is_followed_by_the_next_though_its_stream_looks_open() {
    let running = Running::start("").await;
    let silent = Holder::join(running.channel(), join("dp-1")).await;
    // No answer before the lease of the one that may be there has ended.
    let next = Holder::join(running.channel(), Join { incarnation: 2, ..join("dp-1") });
    let joined = Instant::now();
    let mut next = next.await;
    let waited = joined.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(9)).contains(&waited), "{waited:?}");
    assert_eq!(silent.end().await.unwrap_err().code(), Code::FailedPrecondition);
    next.ask("gold", 1.0).await;
    assert!(next.granted("gold").await.tokens >= 1.0);
    let names = |status: LedgerStatus| status.members.into_iter().map(|m| m.replica_id).collect::<Vec<_>>();
    assert_eq!(names(ledger(running.channel()).await), ["dp-1"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_refused_as_soon_as_the_other_says_something() {
    let running = Running::start("").await;
    let mut holder = Holder::join(running.channel(), join("dp-1")).await;
    let copy = Join { incarnation: 2, ..join("dp-1") };
    let (_up, copy) = open(running.channel(), vec![first(copy)]).await;
    let mut copy = copy.unwrap();
    let refused = loop {
        tokio::select! {
            answer = copy.message() => break answer.unwrap_err(),
            _ = holder.next() => holder.say(LeaseRequest::default()).await,
        }
    };
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    holder.ask("gold", 1.0).await;
    assert!(holder.granted("gold").await.tokens >= 1.0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_data_plane_is_lost() {
    let running = Running::start("").await;
    let holder = Holder::join(running.channel(), join("dp-1")).await;
    let (joined, end) = (Instant::now(), holder.end().await.unwrap_err());
    assert_eq!(end.code(), Code::FailedPrecondition, "{end:?}");
    assert!(joined.elapsed() < Duration::from_secs(10));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_takes_nothing_is_cut_off() {
    let running = Running::start("").await;
    let narrow = Endpoint::try_from(format!("http://{}", running.address)).unwrap().initial_stream_window_size(1_024);
    let mut holder = Holder::join(narrow.connect_lazy(), join("dp-1")).await;
    for batch in 0..50 {
        let asks = (0..1_000).map(|n| ask(&format!("{batch}-{n}"), 1.0)).collect();
        holder.say(LeaseRequest { asks, ..LeaseRequest::default() }).await;
    }
    let leased = |status: &LedgerStatus| status.members.iter().any(|m| m.standing() == LeaseStanding::Leased);
    until(|| ledger(running.channel()), |status| !leased(status)).await;
    let end = holder.end().await.unwrap_err();
    // Where all is slow, its lease has ended first.
    assert!([Code::ResourceExhausted, Code::FailedPrecondition].contains(&end.code()), "{end:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nobody_shares() {
    let running = Running::start("admin: { token: secret-token }").await;
    let (_up, refused) = open(running.channel(), vec![first(join("dp-1"))]).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_planes_are_told_the_scope_and_its_changes() {
    let running = Running::start("").await;
    let mut replica = Replica::connect(running.channel()).await;
    let scope = |updates: &[Update]| updates[0].settings.as_ref().map(|settings| settings.limit_scope());
    assert_eq!(scope(&replica.step().await), Some(LimitScope::Global));
    let tag = replica.hello.config_tag;
    running.reload("limits: { scope: local }").await.unwrap();
    assert_eq!(scope(&replica.step().await), Some(LimitScope::Local));
    assert_ne!(replica.hello.config_tag, tag);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_the_stream_and_says_so() {
    let running = Running::start("").await;
    let holder = Holder::join(running.channel(), join("dp-1")).await;
    running.ask_to_stop();
    assert_eq!(holder.end().await.unwrap_err().code(), Code::Unavailable);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_starts_anew_waits_for_those_it_remembers() {
    let running = Running::start("").await;
    let mut known = Holder::join(running.channel(), join("known")).await;
    let epoch = known.welcome.welcome.unwrap().epoch;
    while known.next().await.unwrap().unwrap().terms.is_none_or(|terms| terms.share < 1.0) {
        known.say(LeaseRequest::default()).await;
    }
    drop(known);
    let url = format!("sqlite://{}", running.dir.path().join("b.db").display());
    let running = Running::start_on(running.stop().await, url, "").await;
    until(|| ledger(running.channel()), |status| status.authority).await;
    let stranger = tokio::spawn(Holder::join(running.channel(), join("stranger")));
    until(|| ledger(running.channel()), |status| status.members.len() == 1).await;
    assert!(ledger(running.channel()).await.recovering && !stranger.is_finished());
    let told = explain(running.channel(), "1.1.1.1").await.unwrap();
    assert!(told.verdict.contains("has just started"), "{}", told.verdict);
    let back = Holder::join(running.channel(), Join { epoch, share: 1.0, ..join("known") }).await;
    assert!(back.welcome.welcome.unwrap().epoch > epoch);
    within(stranger).await.unwrap();
    assert!(!ledger(running.channel()).await.recovering);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_ledger_counts_is_explained_too() {
    let running = Running::start("{ default_limits: unlimited, limits: { scope: local } }").await;
    set(running.channel(), "gold", 2.0).await;
    let gold = until(|| explain(running.channel(), "gold"), Result::is_ok).await.unwrap();
    assert_eq!((gold.scope(), gold.applied(), gold.free), (LimitScope::Local, AppliedLimit::Own, false));
    assert!(gold.verdict.starts_with("each data plane counts on its own"), "{}", gold.verdict);
    let other = explain(running.channel(), "[2001:db8::7]:80").await.unwrap();
    assert_eq!((other.applied(), other.capacity), (AppliedLimit::Unlimited, None));
    assert_eq!((other.bucket.as_str(), other.verdict.as_str()), ("2001:db8::/64", "never refused: there is no limit"));
    let nobody = explain(running.channel(), "silver").await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    assert!(nobody.message().contains("no limit has the client_id \"silver\""), "{nobody:?}");
    running.stop().await;
}
