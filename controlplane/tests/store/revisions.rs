//! Revisions are dense and ordered, and what changed since one is the difference of what was loaded then and now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::FutureExt;

use controlplane::domain::{AdminState, BackendChange, BackendKey, ClientId, Limit, Source};
use controlplane::store::{Changes, Loaded, Origin, Store, StoreError, Touched};

use crate::fixture::{Fixture, backend, client, limit, on_both, settings};

on_both!(
    a_new_database_is_at_revision_zero,
    changes_are_the_difference_of_loads,
    unknown_revisions_are_refused,
    another_past_is_refused,
    touched_says_who_and_gives_up_on_many,
    old_deletions_are_forgotten,
    concurrent_writers_get_dense_revisions,
    a_refused_write_takes_no_revision,
    a_commit_wakes_the_watch,
    a_write_nobody_waits_for_is_announced,
);

async fn a_new_database_is_at_revision_zero(fixture: Fixture) {
    let store = fixture.open().await;
    let loaded = store.load().await.unwrap();
    let empty = Loaded {
        store_id: store.store_id().into(),
        revision: 0,
        mark: loaded.mark,
        limits: vec![],
        backends: vec![],
        settings: None,
    };
    assert_eq!(loaded, empty);
    assert_eq!(loaded.store_id.len(), 32);
}

/// Random operations; after each, from some earlier revisions, applying the changes gives what is there now.
async fn changes_are_the_difference_of_loads(fixture: Fixture) {
    let store = fixture.open().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut history = vec![store.load().await.unwrap()];
    for _ in 0..60 {
        act(&store, &mut random).await;
        let now = store.load().await.unwrap();
        for old in random.choose_multiple(&history, 5) {
            let changes = store.changes_since(old.revision, None).await.unwrap().unwrap();
            assert_eq!(applied(old.clone(), changes), now);
        }
        history.push(now);
    }
}

async fn act(store: &Store, random: &mut fastrand::Rng) {
    let id = client(&format!("c{}", random.u32(0..8)));
    let new = limit(f64::from(random.u32(1..4)), f64::from(random.u32(0..3)));
    let spec = backend(random.u16(1..4));
    let refused = match random.u32(0..8) {
        0 => store.create_limit(&id, new).await.err(),
        1 | 2 => store.delete_limit(&id).await.err(),
        3 => store.update_limit(&id, Some(new.capacity()), None).await.err(),
        4 => store.import_limits((0..3).map(|n| (client(&format!("c{n}")), new)).collect()).await.err(),
        5 => store.add_backend(&spec, Source::Api).await.err(),
        6 => store.reconcile(std::slice::from_ref(&spec), &settings()).await.err(),
        _ => store.remove_backend(&BackendKey::Url(spec.url)).await.err(),
    };
    use StoreError::{AlreadyExists, BackendInFile, NotFound};
    assert!(matches!(refused, None | Some(AlreadyExists(_) | NotFound(_) | BackendInFile(_))), "{refused:?}");
}

fn applied(mut old: Loaded, changes: Changes) -> Loaded {
    let mut limits: BTreeMap<ClientId, Limit> = old.limits.into_iter().collect();
    limits.retain(|id, _| !changes.deleted.contains(id));
    limits.extend(changes.upserted);
    old.limits = limits.into_iter().collect();
    old.backends = changes.backends.unwrap_or(old.backends);
    old.settings = changes.settings.or(old.settings);
    (old.revision, old.mark) = (changes.revision, changes.mark);
    old
}

async fn unknown_revisions_are_refused(fixture: Fixture) {
    let store = fixture.open().await;
    let newest = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    assert!(store.changes_since(newest, None).await.unwrap().is_some_and(|c| c.upserted.is_empty()));
    assert_eq!(store.changes_since(newest + 1, None).await.unwrap(), None);
    assert_eq!(store.changes_since(u64::MAX, None).await.unwrap(), None);
}

async fn another_past_is_refused(fixture: Fixture) {
    let store = fixture.open().await;
    store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    let held = store.load().await.unwrap();
    let origin = Origin { store_id: held.store_id.clone(), mark: held.mark };
    store.create_limit(&client("b"), limit(1.0, 1.0)).await.unwrap();
    let changes = store.changes_since(held.revision, Some(origin.clone())).await.unwrap().unwrap();
    assert_eq!((changes.upserted.len(), changes.mark), (1, store.load().await.unwrap().mark));
    let other = Origin { store_id: "other".into(), ..origin.clone() };
    assert_eq!(store.changes_since(held.revision, Some(other)).await.unwrap(), None);
    fixture.execute("UPDATE revisions SET mark = mark + 1").await;
    assert_eq!(store.changes_since(held.revision, Some(origin)).await.unwrap(), None);
}

async fn touched_says_who_and_gives_up_on_many(fixture: Fixture) {
    let store = fixture.open().await;
    let ids = |touched: Option<Touched>| touched.map(|t| t.client_ids.into_iter().collect::<BTreeSet<_>>());
    let start = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    store.create_limit(&client("b"), limit(1.0, 1.0)).await.unwrap();
    store.delete_limit(&client("a")).await.unwrap();
    let touched = store.touched_since(start, 2).await.unwrap();
    assert_eq!(ids(touched), Some(["a".to_owned(), "b".to_owned()].into()));
    assert_eq!(store.touched_since(start, 1).await.unwrap(), None);
    assert_eq!(store.touched_since(start + 3, 9).await.unwrap(), None);
}

async fn old_deletions_are_forgotten(fixture: Fixture) {
    let store = Store::open_keeping(&fixture.config, 10).await.unwrap();
    let limits: Vec<_> = (0..20).map(|n| (client(&format!("c{n:02}")), limit(1.0, 1.0))).collect();
    let imported = store.import_limits(limits.clone()).await.unwrap();
    for (id, _) in &limits[..10] {
        store.delete_limit(id).await.unwrap();
    }
    assert_eq!(store.changes_since(imported, None).await.unwrap().unwrap().deleted.len(), 10);
    store.delete_limit(&limits[10].0).await.unwrap();
    assert_eq!(store.changes_since(imported, None).await.unwrap(), None);
    let known = store.changes_since(imported + 1, None).await.unwrap().unwrap();
    assert_eq!(known.deleted.len(), 10);
    // A limit that exists again makes room for another deletion.
    store.create_limit(&limits[10].0, limit(1.0, 1.0)).await.unwrap();
    store.delete_limit(&limits[11].0).await.unwrap();
    assert!(store.changes_since(imported + 1, None).await.unwrap().is_some());
}

async fn concurrent_writers_get_dense_revisions(fixture: Fixture) {
    const WRITERS: u64 = 16;
    const WRITES: u64 = 10;
    let store = fixture.open().await;
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer, WRITES))).collect();
    let mut revisions = Vec::new();
    for writer in writers {
        let own = writer.await.unwrap();
        assert!(own.is_sorted());
        revisions.extend(own);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=WRITERS * WRITES).collect::<Vec<_>>());
}

async fn write(store: Store, writer: u64, writes: u64) -> Vec<u64> {
    let mut revisions = Vec::new();
    for n in 0..writes {
        revisions.push(store.create_limit(&client(&format!("{writer}-{n}")), limit(1.0, 1.0)).await.unwrap());
    }
    revisions
}

async fn a_refused_write_takes_no_revision(fixture: Fixture) {
    let store = fixture.open().await;
    let first = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    let (added, _) = store.add_backend(&backend(1), Source::Api).await.unwrap();
    assert!(store.create_limit(&client("a"), limit(2.0, 1.0)).await.is_err());
    assert!(store.delete_limit(&client("b")).await.is_err());
    let nothing = BackendChange { weight: Some(1), admin_state: Some(AdminState::Active) };
    store.update_backend(&BackendKey::Id(added.id), &nothing).await.unwrap();
    assert_eq!(store.load().await.unwrap().revision, first + 1);
}

async fn a_commit_wakes_the_watch(fixture: Fixture) {
    let store = Arc::new(fixture.open().await);
    let mut changed = store.changed();
    let revision = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    assert_eq!(*changed.wait_for(|known| *known >= revision).await.unwrap(), revision);
}

async fn a_write_nobody_waits_for_is_announced(fixture: Fixture) {
    let store = fixture.open().await;
    let mut changed = store.changed();
    // Polled once and dropped, as when a client disconnects.
    assert!(store.create_limit(&client("a"), limit(1.0, 1.0)).now_or_never().is_none());
    assert_eq!(*changed.wait_for(|known| *known == 1).await.unwrap(), 1);
    store.get_limit(&client("a")).await.unwrap();
}
