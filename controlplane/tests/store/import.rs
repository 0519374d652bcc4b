//! Many limits at once.

use std::time::{Duration, Instant};

use controlplane::domain::{ClientId, Limit};

use crate::fixture::{Fixture, client, limit, on_both};

on_both!(
    import_is_idempotent,
    import_keeps_the_revision_of_equal_limits,
    import_revives_deleted_limits,
    import_is_all_or_nothing,
    import_is_fast_enough,
);

async fn import_is_idempotent(fixture: Fixture) {
    let store = fixture.open().await;
    let batch: Vec<_> = (0..12_000).map(|n| (client(&format!("c{n}")), limit(2.0, 0.5))).collect();
    let revision = store.import_limits(batch.clone()).await.unwrap();
    assert_eq!(store.import_limits(batch).await.unwrap(), revision);
    assert_eq!(store.import_limits(Vec::new()).await.unwrap(), revision);
    assert_eq!(store.load().await.unwrap().limits.len(), 12_000);
}

async fn import_keeps_the_revision_of_equal_limits(fixture: Fixture) {
    let store = fixture.open().await;
    let first =
        store.import_limits(vec![(client("a"), limit(1.0, 1.0)), (client("b"), limit(1.0, 1.0))]).await.unwrap();
    let twice = vec![
        (client("a"), limit(1.0, 1.0)),
        (client("b"), limit(8.0, 1.0)),
        (client("b"), limit(9.0, 1.0)),
        (client("c"), limit(1.0, 1.0)),
    ];
    let second = store.import_limits(twice).await.unwrap();
    assert_eq!(second, first + 1);
    let (a, b) = (store.get_limit(&client("a")).await.unwrap(), store.get_limit(&client("b")).await.unwrap());
    assert_eq!((a.revision, b.revision), (first, second));
    assert_eq!(b.limit, limit(9.0, 1.0));
}

async fn import_revives_deleted_limits(fixture: Fixture) {
    let store = fixture.open().await;
    let before = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    store.delete_limit(&client("a")).await.unwrap();
    store.import_limits(vec![(client("a"), limit(2.0, 1.0))]).await.unwrap();
    let changes = store.changes_since(before, None).await.unwrap().unwrap();
    assert_eq!((changes.upserted, changes.deleted), (vec![(client("a"), limit(2.0, 1.0))], vec![]));
}

async fn import_is_all_or_nothing(fixture: Fixture) {
    let store = fixture.open().await;
    let poison = match store.kind() {
        "sqlite" => {
            "CREATE TRIGGER poison BEFORE INSERT ON limits WHEN new.client_id = 'poison' \
             BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
        }
        _ => "ALTER TABLE limits ADD CHECK (client_id <> 'poison')",
    };
    fixture.execute(poison).await;
    // The poison comes last, in the second statement.
    let mut batch: Vec<_> = (0..6000).map(|n| (client(&format!("c{n}")), limit(2.0, 0.5))).collect();
    batch.push((client("poison"), limit(1.0, 1.0)));
    assert!(store.import_limits(batch).await.is_err());
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.revision, loaded.limits.len()), (0, 0));
}

/// 100,000 limits in batches of 5000; the bound is what users are promised for the whole way from the file.
async fn import_is_fast_enough(fixture: Fixture) {
    let store = fixture.open().await;
    let bound = Duration::from_secs(if store.kind() == "sqlite" { 10 } else { 20 });
    let limits: Vec<(ClientId, Limit)> =
        (0..100_000_u32).map(|n| (client(&format!("client-{n:06}")), limit(f64::from(n) + 1.0, 0.5))).collect();
    let start = Instant::now();
    for batch in limits.chunks(5000) {
        store.import_limits(batch.to_vec()).await.unwrap();
    }
    let took = start.elapsed();
    println!("{}: 100,000 limits in {took:?}", store.kind());
    assert_eq!(store.load().await.unwrap().limits, limits);
    assert!(took < bound, "took {took:?}");
}
