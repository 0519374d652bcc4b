//! The stream to data planes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use balancer_proto::{
    fingerprint::Fingerprint,
    v1::{
        Ack, DeleteLimitRequest, GetStatusRequest, Heartbeat, Hello, ImportLimitsRequest, Limit, Nack, ReplicaReport,
        ReplicaStatus, SetLimitRequest, Strategy, SyncRequest, SyncResponse, Update,
        data_plane_service_client::DataPlaneServiceClient, limit_service_client::LimitServiceClient,
        status_service_client::StatusServiceClient, sync_request::Message as Up, sync_response::Message as Down,
    },
};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, codec::CompressionEncoding, transport::Channel};

use crate::harness::{Running, until, within};

/// A data plane that does by hand what a test says. It answers heartbeats as long as it is read from.
pub(crate) struct Replica {
    up: mpsc::Sender<SyncRequest>,
    down: Streaming<SyncResponse>,
    pub(crate) limits: BTreeMap<String, (f64, f64)>,
    pub(crate) hello: Hello,
}

impl Replica {
    /// Connects with nothing in its hands.
    pub(crate) async fn connect(channel: Channel) -> Self {
        Self::connect_with(channel, hello(), BTreeMap::new()).await
    }

    async fn connect_with(channel: Channel, hello: Hello, limits: BTreeMap<String, (f64, f64)>) -> Self {
        let (up, requests) = mpsc::channel(16);
        up.send(message(Up::Hello(hello.clone()))).await.unwrap();
        let mut client = DataPlaneServiceClient::new(channel);
        let down = within(client.sync(ReceiverStream::new(requests))).await.unwrap().into_inner();
        let mut replica = Self { up, down, limits, hello };
        assert!(matches!(replica.message().await, Ok(Some(Down::Welcome(w))) if w.heartbeat_ms > 0));
        assert!(matches!(replica.message().await, Ok(Some(Down::Health(h))) if h.full));
        replica
    }

    async fn message(&mut self) -> Result<Option<Down>, Status> {
        Ok(within(self.down.message()).await?.and_then(|response| response.message))
    }

    pub(crate) async fn say(&self, up: Up) {
        self.up.send(message(up)).await.unwrap();
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn next(&mut self) -> Down {
        loop {
            match self.message().await.unwrap().expect("the stream ended") {
                Down::Heartbeat(_) => self.say(Up::Heartbeat(Heartbeat {})).await,
                other => return other,
            }
        }
    }

    /// The next chunk of a step.
    async fn chunk(&mut self) -> Update {
        loop {
            if let Down::Update(update) = self.next().await {
                return update;
            }
        }
    }

    /// Takes in a whole step, checks its fingerprint and acknowledges it.
    pub(crate) async fn step(&mut self) -> Vec<Update> {
        let mut chunks = vec![self.chunk().await];
        while !chunks.last().unwrap().last_chunk {
            chunks.push(self.chunk().await);
        }
        self.apply(&chunks);
        self.say(Up::Ack(Ack { revision: self.hello.revision })).await;
        chunks
    }

    fn apply(&mut self, chunks: &[Update]) {
        let first = &chunks[0];
        if first.full {
            self.limits.clear();
            assert!(first.pool.is_some() && first.settings.is_some());
        } else {
            assert_eq!((&first.store_id, first.base_revision), (&self.hello.store_id, self.hello.revision));
        }
        for chunk in chunks {
            for limit in &chunk.upserted_limits {
                self.limits.insert(limit.client_id.clone(), (limit.capacity.unwrap(), limit.rate_per_sec.unwrap()));
            }
            for id in &chunk.deleted_limits {
                // It need not be here: a limit may have come and gone within one step.
                self.limits.remove(id);
            }
        }
        let mut fingerprint = Fingerprint::default();
        self.limits.iter().for_each(|(id, (capacity, rate))| fingerprint.add(id, *capacity, *rate));
        let last = chunks.last().unwrap();
        assert_eq!(fingerprint.value(), last.fingerprint);
        let (store_id, revision) = (last.store_id.clone(), last.revision);
        let (fingerprint, config_tag) = (last.fingerprint, last.config_tag);
        self.hello = Hello { store_id, revision, fingerprint, config_tag, ..self.hello.clone() };
    }

    /// Goes away and comes back with what it has, to this control plane.
    pub(crate) async fn reconnect(self, channel: Channel) -> Self {
        let Self { up, down, limits, hello } = self;
        drop((up, down));
        Self::connect_with(channel, hello, limits).await
    }
}

fn hello() -> Hello {
    Hello { replica_id: "r1".into(), version: "0.1.0".into(), ..Hello::default() }
}

fn message(up: Up) -> SyncRequest {
    SyncRequest { message: Some(up) }
}

fn limit(client_id: &str, capacity: f64) -> Limit {
    Limit { client_id: client_id.into(), capacity: Some(capacity), rate_per_sec: Some(1.0) }
}

/// Sets a limit, and waits until new streams begin with it.
pub(crate) async fn set(channel: Channel, client_id: &str, capacity: f64) -> u64 {
    let request = SetLimitRequest { limit: Some(limit(client_id, capacity)) };
    let revision = LimitServiceClient::new(channel.clone()).set_limit(request).await.unwrap().into_inner().revision;
    let ask = || async {
        let status = StatusServiceClient::new(channel.clone()).get_status(GetStatusRequest {}).await.unwrap();
        status.into_inner().status.unwrap().revision
    };
    until(ask, |now| *now >= revision).await;
    revision
}

async fn status_of(running: &Running, good: impl Fn(&ReplicaStatus) -> bool) -> ReplicaStatus {
    let ask = || async {
        let status = StatusServiceClient::new(running.channel()).get_status(GetStatusRequest {}).await.unwrap();
        status.into_inner().status.unwrap().replicas.into_iter().next()
    };
    until(ask, |replica| replica.as_ref().is_some_and(&good)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_first_then_changes_one_by_one() {
    let running = Running::start("backend_list: [{ backend_url: http://127.0.0.1:1, weight: 3 }]").await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    let full = replica.step().await;
    assert!(full[0].full && full[0].pool.as_ref().is_some_and(|p| p.backends[0].weight == 3));
    assert_eq!(replica.limits, BTreeMap::from([("a".into(), (1.0, 1.0))]));
    let revision = set(running.channel(), "b", 2.0).await;
    let delta = replica.step().await;
    assert!(!delta[0].full && delta[0].pool.is_none() && delta[0].settings.is_none());
    assert_eq!((delta[0].revision, delta[0].upserted_limits.as_slice()), (revision, &[limit("b", 2.0)][..]));
    let delete = DeleteLimitRequest { client_id: "a".into() };
    LimitServiceClient::new(running.channel()).delete_limit(delete).await.unwrap();
    assert_eq!(replica.step().await[0].deleted_limits, ["a"]);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_gets_only_what_it_missed() {
    let running = Running::start("").await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    let mut replica = replica.reconnect(running.channel()).await;
    // Nothing to send: the next step is the next change.
    assert_eq!(status_of(&running, |_| true).await.revision, replica.hello.revision);
    set(running.channel(), "b", 1.0).await;
    assert!(!replica.step().await[0].full);
    // As if away: these come while it is not listening.
    let gone = std::mem::replace(&mut replica.hello.replica_id, "r2".into());
    assert_eq!(gone, "r1");
    let hello = replica.hello.clone();
    let limits = replica.limits.clone();
    drop(replica);
    let last = set(running.channel(), "c", 1.0).await;
    let mut replica = Replica::connect_with(running.channel(), hello, limits).await;
    while replica.hello.revision < last {
        assert!(!replica.step().await[0].full);
    }
    assert_eq!(replica.limits.len(), 3);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_control_plane_the_store_knows_what_was_missed() {
    let running = Running::start("").await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    set(running.channel(), "b", 1.0).await;
    let (dir, args) = (running.dir.path().to_owned(), running.args.clone());
    drop(std::mem::replace(&mut replica.up, mpsc::channel(1).0));
    let kept = running.stop().await;
    assert_eq!(kept.path(), dir);
    let config = controlplane::config::load(&args).unwrap();
    let running = Running::start_with(kept, args, config).await;
    let mut replica = replica.reconnect(running.channel()).await;
    let delta = replica.step().await;
    assert!(!delta[0].full, "{delta:?}");
    assert_eq!(replica.limits.len(), 2);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_replaced_by_everything() {
    let running = Running::start("").await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    let good = replica.hello.clone();
    drop(replica);
    for hello in [
        Hello { fingerprint: good.fingerprint + 1, ..good.clone() },
        Hello { store_id: "other".into(), ..good.clone() },
        Hello { revision: good.revision + 1000, ..good.clone() },
    ] {
        let mut replica = Replica::connect_with(running.channel(), hello, BTreeMap::new()).await;
        assert!(replica.step().await[0].full);
        assert_eq!(replica.limits.len(), 1);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tag_gets_pool_and_settings_and_the_same_tag_nothing() {
    let running = Running::start("").await;
    set(running.channel(), "a", 1.0).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    for unknown in [0, replica.hello.config_tag ^ 1] {
        let hello = Hello { config_tag: unknown, ..replica.hello.clone() };
        let limits = replica.limits.clone();
        replica = Replica::connect_with(running.channel(), hello, limits).await;
        let step = replica.step().await;
        assert!(step.len() == 1 && !step[0].full && step[0].upserted_limits.is_empty(), "{step:?}");
        assert!(step[0].base_revision == step[0].revision && step[0].pool.is_some() && step[0].settings.is_some());
    }
    let held = replica.hello.clone();
    let mut replica = replica.reconnect(running.channel()).await;
    set(running.channel(), "b", 1.0).await;
    let step = replica.step().await;
    assert_eq!(step[0].base_revision, held.revision, "nothing came before the change");
    assert!(step[0].pool.is_none() && step[0].settings.is_none() && replica.hello.config_tag == held.config_tag);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_with_other_backends_and_settings_is_noticed() {
    let (dir, backup) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = format!("sqlite://{}", dir.path().join("b.db").display());
    let running = Running::start_on(dir, url.clone(), "strategy: random").await;
    set(running.channel(), "a", 1.0).await;
    let dir = running.stop().await;
    copy(dir.path(), backup.path());
    let file = "strategy: p2c\nbackend_list: [{ backend_url: http://127.0.0.1:1 }]";
    let running = Running::start_on(dir, url.clone(), file).await;
    let mut replica = Replica::connect(running.channel()).await;
    assert_eq!(urls(&replica.step().await), ["http://127.0.0.1:1"]);
    let (before, dir) = (replica.hello.clone(), running.stop().await);
    copy(backup.path(), dir.path());
    // As many changes as were lost: the revisions are equal, and so are the limits.
    let file = "strategy: least_connections\nbackend_list: [{ backend_url: http://127.0.0.1:2 }]";
    let running = Running::start_on(dir, url, file).await;
    let mut replica = replica.reconnect(running.channel()).await;
    let step = replica.step().await;
    assert_eq!((replica.hello.revision, replica.hello.fingerprint), (before.revision, before.fingerprint));
    assert_eq!(urls(&step), ["http://127.0.0.1:2"]);
    assert_eq!(step[0].settings.as_ref().unwrap().strategy(), Strategy::LeastConnections);
    drop(replica);
    running.stop().await;
}

fn urls(step: &[Update]) -> Vec<&str> {
    step[0].pool.iter().flat_map(|pool| &pool.backends).map(|backend| backend.url.as_str()).collect()
}

/// Replaces a database by a copy.
fn copy(from: &Path, to: &Path) {
    let files = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files(to).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    files(from).iter().for_each(|file| _ = std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_in_bounded_chunks() {
    let running = Running::start("").await;
    let ids: Vec<_> = (0..12_000).map(|i| format!("{i:05}{}", "x".repeat(200))).collect();
    let batches: Vec<_> = ids
        .chunks(4000)
        .map(|ids| ImportLimitsRequest { limits: ids.iter().map(|id| limit(id, 1.0)).collect() })
        .collect();
    let mut client = LimitServiceClient::new(running.channel());
    let mut answers = client.import_limits(tokio_stream::iter(batches)).await.unwrap().into_inner();
    let mut last = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        last = answer.revision;
    }
    let mut replica = Replica::connect(running.channel()).await;
    let mut chunks = replica.step().await;
    while replica.hello.revision < last {
        chunks.extend(replica.step().await);
    }
    assert_eq!(replica.limits.len(), ids.len());
    assert!(chunks.len() >= 5);
    assert!(chunks.iter().all(|c| c.upserted_limits.iter().map(|l| l.client_id.len() + 26).sum::<usize>() < 600_000));
    drop((replica, client, answers));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_answered_with_everything() {
    let running = Running::start("").await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    set(running.channel(), "a", 1.0).await;
    let refused = replica.chunk().await;
    let start = Instant::now();
    replica.say(Up::Nack(Nack { revision: refused.revision, reason: "no such thing".into() })).await;
    let shown = status_of(&running, |r| !r.last_refusal.is_empty()).await;
    assert_eq!(shown.last_refusal, "no such thing");
    let full = replica.chunk().await;
    assert!(full.full && start.elapsed().as_millis() >= 900, "after a pause when nothing changes");
    replica.say(Up::Nack(Nack { revision: full.revision, reason: "still not".into() })).await;
    status_of(&running, |r| r.last_refusal == "still not").await;
    assert!(replica.step().await[0].full);
    status_of(&running, |r| r.last_refusal.is_empty() && r.revision == refused.revision).await;
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_a_refusal_comes_with_everything() {
    let running = Running::start("").await;
    let mut replica = Replica::connect(running.channel()).await;
    let full = replica.chunk().await;
    replica.say(Up::Nack(Nack { revision: full.revision, reason: "no".into() })).await;
    status_of(&running, |r| r.last_refusal == "no").await;
    set(running.channel(), "a", 1.0).await;
    assert!(replica.step().await[0].full);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_seen_while_they_are_there() {
    let running = Running::start("").await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    replica.say(Up::Report(ReplicaReport { requests: 7, ..ReplicaReport::default() })).await;
    let seen = status_of(&running, |r| r.report.is_some() && r.revision > 0).await;
    assert_eq!((seen.replica_id.as_str(), seen.version.as_str()), ("r1", "0.1.0"));
    assert_eq!(seen.report.unwrap().requests, 7);
    drop(replica);
    let count = || async {
        let status = StatusServiceClient::new(running.channel()).get_status(GetStatusRequest {}).await.unwrap();
        status.into_inner().status.unwrap().replicas.len()
    };
    until(count, |count| *count == 0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_come_and_silence_ends_the_stream() {
    let running = Running::start_impatient(Duration::from_millis(200)).await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    let start = Instant::now();
    let (mut heartbeats, end) = (
        0,
        loop {
            match replica.message().await {
                Ok(Some(Down::Heartbeat(_))) => {}
                other => break other,
            }
        },
    );
    heartbeats += 1;
    assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(heartbeats > 0 && start.elapsed().as_millis() >= 590, "three heartbeats of 200 ms");
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_must_begin_with_hello() {
    let running = Running::start("").await;
    for first in [
        Up::Heartbeat(Heartbeat {}),
        Up::Hello(Hello::default()),
        Up::Hello(Hello { replica_id: "a\n".into(), ..hello() }),
    ] {
        let requests = tokio_stream::iter([message(first)]);
        let mut client = DataPlaneServiceClient::new(running.channel());
        let mut down = client.sync(requests).await.unwrap().into_inner();
        assert_eq!(within(down.message()).await.unwrap_err().code(), Code::InvalidArgument);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_replica_may_say_what_nobody_knows() {
    let running = Running::start("").await;
    let mut replica =
        Replica::connect_with(running.channel(), Hello { version: "99".into(), ..hello() }, BTreeMap::new()).await;
    replica.step().await;
    replica.up.send(SyncRequest { message: None }).await.unwrap();
    set(running.channel(), "a", 1.0).await;
    replica.step().await;
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_server() {
    let running = Running::start("").await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    running.ask_to_stop();
    let end = loop {
        match replica.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_compressed_are_refused_by_name() {
    let running = Running::start("").await;
    let client = DataPlaneServiceClient::new(running.channel());
    let hello = tokio_stream::iter([message(Up::Hello(hello()))]);
    let refused = within(client.send_compressed(CompressionEncoding::Gzip).sync(hello)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("gzip"), "{refused:?}");
}
