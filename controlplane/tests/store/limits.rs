//! Limits one at a time, and listed.

use controlplane::domain::StoredLimit;
use controlplane::store::{Store, StoreError};

use crate::fixture::{Fixture, client, limit, on_both};

on_both!(
    create_get_delete,
    update_changes_what_is_given,
    set_creates_or_changes,
    numbers_come_back_exactly,
    listing_is_bytewise_and_paged,
    a_prefix_is_not_a_pattern,
);

async fn create_get_delete(fixture: Fixture) {
    let store = fixture.open().await;
    let (alice, missing) = (client("alice"), client("missing"));
    assert!(matches!(store.get_limit(&alice).await, Err(StoreError::NotFound(_))));
    let revision = store.create_limit(&alice, limit(10.0, 1.0)).await.unwrap();
    let stored = StoredLimit { client_id: alice.clone(), limit: limit(10.0, 1.0), revision };
    assert_eq!(store.get_limit(&alice).await.unwrap(), stored);

    let again = store.create_limit(&alice, limit(20.0, 1.0)).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists(what)) if what.contains("alice")));
    assert_eq!(store.get_limit(&alice).await.unwrap(), stored);

    assert!(matches!(store.delete_limit(&missing).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.delete_limit(&alice).await.unwrap(), revision + 1);
    assert!(matches!(store.get_limit(&alice).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.create_limit(&alice, limit(1.0, 0.0)).await.unwrap(), revision + 2);
}

async fn update_changes_what_is_given(fixture: Fixture) {
    let store = fixture.open().await;
    let id = client("a");
    assert!(matches!(store.update_limit(&id, Some(1.0), None).await, Err(StoreError::NotFound(_))));
    let first = store.create_limit(&id, limit(10.0, 1.0)).await.unwrap();
    let updated = store.update_limit(&id, Some(20.0), None).await.unwrap();
    assert_eq!((updated.limit, updated.revision), (limit(20.0, 1.0), first + 1));
    let updated = store.update_limit(&id, None, Some(0.0)).await.unwrap();
    assert_eq!((updated.limit, updated.revision), (limit(20.0, 0.0), first + 2));

    let unchanged = store.update_limit(&id, Some(20.0), Some(0.0)).await.unwrap();
    assert_eq!(unchanged, updated);
    let refused = store.update_limit(&id, Some(0.5), None).await;
    assert!(matches!(refused, Err(StoreError::Invalid(invalid)) if invalid.field == "capacity"));
    assert_eq!(store.get_limit(&id).await.unwrap(), updated);
    assert_eq!(store.load().await.unwrap().revision, first + 2);
}

async fn set_creates_or_changes(fixture: Fixture) {
    let store = fixture.open().await;
    let id = client("a");
    let (created, first) = store.set_limit(&id, limit(1.0, 1.0)).await.unwrap();
    assert!(created);
    assert_eq!(store.set_limit(&id, limit(1.0, 1.0)).await.unwrap(), (false, first));
    assert_eq!(store.set_limit(&id, limit(2.0, 1.0)).await.unwrap(), (false, first + 1));
    assert_eq!(store.get_limit(&id).await.unwrap().limit, limit(2.0, 1.0));
}

async fn numbers_come_back_exactly(fixture: Fixture) {
    let store = fixture.open().await;
    for (at, value) in [1.0, 1.1, 1.0 / 3.0 + 1.0, 1e15 + 0.5, f64::MAX].into_iter().enumerate() {
        let id = client(&at.to_string());
        let limit = limit(value, value / 7.0);
        store.create_limit(&id, limit).await.unwrap();
        assert_eq!(store.get_limit(&id).await.unwrap().limit, limit);
    }
    let tiny = limit(1.0, f64::MIN_POSITIVE);
    store.create_limit(&client("tiny"), tiny).await.unwrap();
    assert_eq!(store.get_limit(&client("tiny")).await.unwrap().limit, tiny);
}

async fn listing_is_bytewise_and_paged(fixture: Fixture) {
    let store = fixture.open().await;
    let mut ids = ["a", "B", "b", "ab", "a-b", "é", "e", "z", "日本", "\u{10ffff}", " ", "10.0.0.1:80", "10.0.0.1"];
    let batch = ids.iter().map(|id| (client(id), limit(1.0, 1.0))).collect();
    store.import_limits(batch).await.unwrap();
    ids.sort_unstable();
    assert_eq!(names(&store, "", None, 100).await, ids);

    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_limits("", after.as_ref(), 4).await.unwrap();
        paged.extend(page.iter().map(|stored| stored.client_id.as_str().to_owned()));
        match page.last() {
            Some(last) => after = Some(last.client_id.clone()),
            None => break,
        }
    }
    assert_eq!(paged, ids);
}

async fn a_prefix_is_not_a_pattern(fixture: Fixture) {
    let store = fixture.open().await;
    let ids = ["%", "%a", "_", "a%", "a_", "ab", "abc", "é1", "日本", "日x", "\u{10ffff}x", "\u{10ffff}\u{10ffff}"];
    store.import_limits(ids.iter().map(|id| (client(id), limit(1.0, 1.0))).collect()).await.unwrap();
    assert_eq!(names(&store, "%", None, 9).await, ["%", "%a"]);
    assert_eq!(names(&store, "_", None, 9).await, ["_"]);
    assert_eq!(names(&store, "a", None, 9).await, ["a%", "a_", "ab", "abc"]);
    assert_eq!(names(&store, "a", Some("a_"), 9).await, ["ab", "abc"]);
    assert_eq!(names(&store, "ab", Some("a"), 9).await, ["ab", "abc"]);
    assert_eq!(names(&store, "a", Some("b"), 9).await, [""; 0]);
    assert_eq!(names(&store, "日", None, 9).await, ["日x", "日本"]);
    assert_eq!(names(&store, "\u{10ffff}", None, 9).await, ["\u{10ffff}x", "\u{10ffff}\u{10ffff}"]);
    assert_eq!(names(&store, "nul\0", None, 9).await, [""; 0]);
    assert_eq!(names(&store, "'; DROP TABLE limits; --", None, 9).await, [""; 0]);
}

async fn names(store: &Store, prefix: &str, after: Option<&str>, count: u32) -> Vec<String> {
    let page = store.list_limits(prefix, after.map(client).as_ref(), count).await.unwrap();
    page.into_iter().map(|stored| stored.client_id.as_str().to_owned()).collect()
}
