//! Who keeps the ledger, and whom it remembers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use controlplane::store::{Candidate, Store};

use crate::fixture::{Fixture, on_both, postgres_client};

on_both!(epochs_grow_and_remember, an_older_epoch_remembers_nothing, epochs_are_no_configuration);

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn epochs_grow_and_remember(fixture: Fixture) {
    let store = fixture.open().await;
    let first = store.begin_epoch("http://a:1").await.unwrap();
    assert_eq!(first.remembered, ids(&[]));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!((now - 60..=now).contains(&first.number), "a database that was replaced begins where the old one was");
    assert!(store.remember(first.number, ids(&["x", "y"])).await.unwrap());
    assert!(store.remember(first.number, ids(&["y", "z"])).await.unwrap());
    drop(store);
    let store = fixture.open().await;
    let second = store.begin_epoch("").await.unwrap();
    assert!(second.number > first.number);
    assert_eq!(second.remembered, ids(&["y", "z"]));
    // A clock that was set back does not matter.
    fixture.execute("UPDATE authority SET epoch = 9000000000").await;
    assert_eq!(store.begin_epoch("").await.unwrap().number, 9_000_000_001);
}

async fn an_older_epoch_remembers_nothing(fixture: Fixture) {
    let store = fixture.open().await;
    let old = store.begin_epoch("").await.unwrap().number;
    assert!(store.remember(old, ids(&["x"])).await.unwrap());
    let new = store.begin_epoch("").await.unwrap().number;
    assert!(!store.remember(old, ids(&[])).await.unwrap());
    assert!(store.remember(new, ids(&["x", "y"])).await.unwrap());
    assert_eq!(store.begin_epoch("").await.unwrap().remembered, ids(&["x", "y"]));
}

async fn epochs_are_no_configuration(fixture: Fixture) {
    let store = fixture.open().await;
    let (before, seen) = (store.load().await.unwrap().revision, *store.changed().borrow());
    let epoch = store.begin_epoch("").await.unwrap().number;
    store.remember(epoch, ids(&["x"])).await.unwrap();
    assert_eq!((store.load().await.unwrap().revision, *store.changed().borrow()), (before, seen));
}

#[tokio::test]
async fn a_file_has_one_candidate_which_wins_for_good() {
    let store = Fixture::sqlite().open().await;
    let mut only = store.candidate().await.unwrap();
    assert_eq!(only.try_take().await.unwrap(), None);
    only.confirm().await.unwrap();
    assert_eq!(only.lasts(), None);
}

/// Tries until it wins, and answers how long that took.
async fn wins(candidate: &mut Candidate) -> Duration {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while candidate.try_take().await.unwrap().is_some() {
        assert!(start.elapsed() < Duration::from_secs(20));
        ticks.tick().await;
    }
    start.elapsed()
}

async fn two() -> (Fixture, Store, Store) {
    let fixture = Fixture::postgres();
    let (here, there) = (fixture.open().await, fixture.open().await);
    (fixture, here, there)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_candidates_has_the_lock_and_the_other_knows_where() {
    let (_fixture, here, there) = two().await;
    let (mut first, mut second) = (here.candidate().await.unwrap(), there.candidate().await.unwrap());
    assert_eq!(first.try_take().await.unwrap(), None);
    assert_eq!(second.try_take().await.unwrap().as_deref(), Some(""));
    here.begin_epoch("http://a:1").await.unwrap();
    assert_eq!(second.try_take().await.unwrap().as_deref(), Some("http://a:1"));
    first.confirm().await.unwrap();
    second.confirm().await.unwrap_err();
    drop(first);
    assert!(wins(&mut second).await < Duration::from_secs(1));
    second.confirm().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_a_silent_holder_after_it_has_stopped_counting_on_the_lock() {
    let (_fixture, here, there) = two().await;
    let (mut silent, mut second) = (here.candidate().await.unwrap(), there.candidate().await.unwrap());
    assert_eq!(silent.try_take().await.unwrap(), None);
    let asked = Instant::now();
    silent.confirm().await.unwrap();
    let counted_on = asked + silent.lasts().unwrap();
    wins(&mut second).await;
    assert!(Instant::now() > counted_on);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    silent.lost().await;
    silent.confirm().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_session_is_ended_knows_at_once() {
    let (fixture, here, _there) = two().await;
    let mut holder = here.candidate().await.unwrap();
    assert_eq!(holder.try_take().await.unwrap(), None);
    let client = postgres_client(&fixture.url()).await;
    // The cluster is shared with other tests.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    client.batch_execute(end).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), holder.lost()).await.unwrap();
}
