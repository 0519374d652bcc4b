//! The protocol as it is spoken, over real sockets.

use std::sync::Arc;

use balancer_proto::v1::{self as wire, Ack, sync_request::Message, sync_response};
use http::Uri;
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::control_plane::ControlPlane;
use crate::{
    config::Secret,
    fixtures::{STORE, change, fingerprint, full, limit},
    pool::Health,
    shared::Shared,
    sync::{ControlPlaneTls, Holder, SyncOptions, run},
};

pub(super) struct Plane {
    pub(super) shared: Arc<Shared>,
    pub(super) task: JoinHandle<()>,
    pub(super) shutdown: CancellationToken,
    saves: watch::Receiver<Option<Arc<crate::snapshot::Snapshot>>>,
}

fn follow(control_planes: Vec<Uri>) -> Plane {
    follow_with(control_planes, ControlPlaneTls::default())
}

pub(super) fn follow_with(control_planes: Vec<Uri>, tls: ControlPlaneTls) -> Plane {
    follow_named(control_planes, tls, watch::channel("replica-1".into()).1)
}

fn follow_named(control_planes: Vec<Uri>, tls: ControlPlaneTls, replica_id: watch::Receiver<String>) -> Plane {
    let options = SyncOptions { control_planes, token: Secret::new("hush"), tls, replica_id };
    let shared = Shared::new(64, &mut prometheus_client::registry::Registry::default());
    let (sender, saves) = watch::channel(None);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(options, Holder::new(Arc::clone(&shared), sender), shutdown.clone()));
    Plane { shared, task, shutdown, saves }
}

fn served(plane: &Plane) -> Option<u64> {
    plane.shared.snapshot.load_full().map(|snapshot| snapshot.revision)
}

pub(super) fn ack(revision: u64) -> Message {
    Message::Ack(Ack { revision })
}

#[tokio::test]
async fn hello_update_ack_and_nack() {
    let mut control_plane = ControlPlane::start().await;
    let plane = follow(vec![control_plane.uri.clone()]);
    let (mut stream, hello) = control_plane.accept().await;
    assert_eq!((hello.replica_id.as_str(), hello.store_id.as_str(), hello.revision), ("replica-1", "", 0));
    assert_eq!(stream.metadata.get("authorization").unwrap(), "Bearer hush");
    assert_eq!(served(&plane), None);

    let (a, b) = (limit("a", 5.0, 1.0), limit("b", 7.0, 1.0));
    stream.welcome(1000).await;
    stream.send_unknown().await;
    stream.update(full(1, std::slice::from_ref(&a))).await;
    assert_eq!(stream.answer().await, ack(1));
    stream.update(change(1, 2, std::slice::from_ref(&b), &[a.clone(), b.clone()])).await;
    assert_eq!(stream.answer().await, ack(2));
    assert_eq!(served(&plane), Some(2));

    stream.update(wire::Update { fingerprint: 1, ..change(2, 3, &[], &[]) }).await;
    let Message::Nack(nack) = stream.answer().await else { panic!("a nack") };
    assert!(nack.revision == 3 && nack.reason.contains("fingerprint"), "{nack:?}");
    assert_eq!(served(&plane), Some(2));
    stream.update(full(3, std::slice::from_ref(&b))).await;
    assert_eq!(stream.answer().await, ack(3));

    plane.shutdown.cancel();
    plane.task.await.unwrap();
    assert_eq!(plane.saves.borrow().as_ref().unwrap().revision, 3);
    let metrics = &plane.shared.metrics.sync;
    assert_eq!((metrics.acks_total(), metrics.nacks_total(), metrics.streams_total()), (3, 1, 1));
}

#[tokio::test]
async fn a_stream_under_a_name_that_is_another_now_is_opened_anew() {
    let mut control_plane = ControlPlane::start().await;
    let (names, name) = watch::channel("twin".into());
    let plane = follow_named(vec![control_plane.uri.clone()], ControlPlaneTls::default(), name);
    let (stream, hello) = control_plane.accept().await;
    assert_eq!(hello.replica_id, "twin");
    stream.welcome(1000).await;
    names.send_replace("twin-2".into());
    let (mut stream, hello) = control_plane.accept().await;
    assert_eq!(hello.replica_id, "twin-2");
    stream.welcome(1000).await;
    stream.update(full(1, &[limit("a", 5.0, 1.0)])).await;
    assert_eq!(stream.answer().await, ack(1));
    // Nobody can take another one any more.
    drop(names);
    plane.shutdown.cancel();
    plane.task.await.unwrap();
    assert_eq!(plane.shared.metrics.sync.streams_total(), 2);
}

#[tokio::test]
async fn a_lost_stream_is_taken_up_at_the_next_control_plane_with_what_is_held() {
    let (mut first, mut second) = (ControlPlane::start().await, ControlPlane::start().await);
    let plane = follow(vec![first.uri.clone(), second.uri.clone()]);
    let (mut stream, _) = first.accept().await;
    let a = [limit("a", 5.0, 1.0)];
    stream.welcome(1000).await;
    stream.update(wire::Update { config_tag: 77, ..full(8, &a) }).await;
    assert_eq!(stream.answer().await, ack(8));
    stream.fail(Status::unavailable("going away")).await;

    let (mut stream, hello) = second.accept().await;
    assert_eq!((hello.store_id.as_str(), hello.revision, hello.fingerprint), (STORE, 8, fingerprint(&a)));
    assert_eq!(hello.config_tag, 77);
    assert_eq!(served(&plane), Some(8));
    stream.welcome(1000).await;
    stream.update(change(8, 9, &[], &a)).await;
    assert_eq!(stream.answer().await, ack(9));
}

#[tokio::test]
async fn a_control_plane_that_is_not_there_is_passed_over() {
    // Bound but not listening: connections are refused, and nobody else gets the port.
    let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    reserved.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let gone = format!("http://{}", reserved.local_addr().unwrap().as_socket().unwrap()).parse().unwrap();
    let mut there = ControlPlane::start().await;
    let plane = follow(vec![gone, there.uri.clone()]);
    let (mut stream, _) = there.accept().await;
    stream.update(full(1, &[])).await;
    assert_eq!(stream.answer().await, ack(1));
    assert_eq!(plane.shared.metrics.sync.failures_total(), 1);
}

#[tokio::test]
async fn silence_of_three_heartbeats_ends_a_stream_and_health_is_forgotten() {
    let (mut first, mut second) = (ControlPlane::start().await, ControlPlane::start().await);
    let plane = follow(vec![first.uri.clone(), second.uri.clone()]);
    let (mut stream, _) = first.accept().await;
    let unhealthy = wire::BackendHealth { backend_id: 1, health: wire::Health::Unhealthy.into() };
    let told = wire::HealthUpdate { full: true, backends: vec![unhealthy] };
    stream.send(sync_response::Message::Health(told)).await;
    stream.update(full(1, &[])).await;
    assert_eq!(stream.answer().await, ack(1));
    let health = || plane.shared.snapshot.load_full().unwrap().pool.backends()[0].health;
    assert_eq!(health(), Health::Unhealthy);

    stream.welcome(60).await;
    let begun = Instant::now();
    let (_stream, hello) = second.accept().await;
    assert!(begun.elapsed().as_millis() >= 100, "{:?}", begun.elapsed());
    assert_eq!((hello.revision, health()), (1, Health::Unknown));
}

#[tokio::test]
async fn heartbeats_and_reports_are_sent_unasked() {
    let mut control_plane = ControlPlane::start().await;
    let plane = follow(vec![control_plane.uri.clone()]);
    plane.shared.metrics.requests.answered(500, 1);
    let (mut stream, _) = control_plane.accept().await;
    stream.welcome(500).await;
    let (mut heartbeats, mut reports) = (0, 0);
    while heartbeats < 3 || reports < 1 {
        match stream.next().await {
            Message::Heartbeat(_) => heartbeats += 1,
            Message::Report(report) => {
                assert_eq!((report.requests, report.server_errors, report.refused), (1, 1, 0));
                reports += 1;
            }
            other => panic!("{other:?}"),
        }
        stream.send(sync_response::Message::Heartbeat(wire::Heartbeat {})).await;
    }
}

#[tokio::test]
async fn after_a_refusal_a_new_stream_asks_for_everything() {
    let mut control_plane = ControlPlane::start().await;
    let plane = follow(vec![control_plane.uri.clone()]);
    let (mut stream, _) = control_plane.accept().await;
    stream.update(full(1, &[])).await;
    assert_eq!(stream.answer().await, ack(1));
    stream.update(change(5, 6, &[], &[])).await;
    assert!(matches!(stream.answer().await, Message::Nack(_)));
    drop(stream);
    let (_stream, hello) = control_plane.accept().await;
    assert_eq!((hello.store_id.as_str(), hello.revision, hello.fingerprint), ("", 0, 0));
    assert_eq!(served(&plane), Some(1));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_control_plane_that_accepts_and_says_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plane = follow(vec![format!("http://{}", silent.local_addr().unwrap()).parse().unwrap()]);
    let (_connection, _) = silent.accept().await.unwrap();
    plane.shutdown.cancel();
    plane.task.await.unwrap();
}
