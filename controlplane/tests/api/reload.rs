//! Reading the file again.

use balancer_proto::v1::Strategy;

use crate::{
    harness::Running,
    sync::{Replica, set},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_in_the_file_reaches_replicas() {
    let running = Running::start("backend_list: [{ backend_url: http://127.0.0.1:1 }]").await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    running.reload("backend_list: [{ backend_url: http://127.0.0.1:2 }]\nstrategy: p2c").await.unwrap();
    let step = replica.step().await;
    let pool = step[0].pool.as_ref().unwrap();
    assert_eq!(pool.backends.iter().map(|b| b.url.as_str()).collect::<Vec<_>>(), ["http://127.0.0.1:2"]);
    assert_eq!(step[0].settings.as_ref().unwrap().strategy(), Strategy::P2c);
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing() {
    let running = Running::start("strategy: random").await;
    let mut replica = Replica::connect(running.channel()).await;
    replica.step().await;
    assert!(running.reload("strategy: best").await.is_err());
    let revision = set(running.channel(), "a", 1.0).await;
    let step = replica.step().await;
    assert_eq!((step[0].revision, step[0].settings.is_none()), (revision, true));
    drop(replica);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_emptied_takes_no_backend_away() {
    let running = Running::start("backend_list: [{ backend_url: http://127.0.0.1:1 }]").await;
    let mut replica = Replica::connect(running.channel()).await;
    assert_eq!(replica.step().await[0].pool.as_ref().unwrap().backends.len(), 1);
    running.reload("").await.unwrap();
    running.reload("backend_list: [{ backend_url: http://127.0.0.1:2 }]").await.unwrap();
    // Reloads are taken in order: had the empty one counted, it would have been a step of its own.
    let backends = &replica.step().await[0].pool.as_ref().unwrap().backends.clone();
    assert_eq!(backends.iter().map(|b| b.url.as_str()).collect::<Vec<_>>(), ["http://127.0.0.1:2"]);
    drop(replica);
    running.stop().await;
}
