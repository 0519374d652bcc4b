//! Several control planes on one PostgreSQL database.

use std::time::{Duration, Instant};

use controlplane::store::Store;

use crate::fixture::{Fixture, client, limit, postgres_client};

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_start_at_once_migrate_once() {
    let fixture = Fixture::postgres();
    let (a, b, c, d) = tokio::join!(fixture.open(), fixture.open(), fixture.open(), fixture.open());
    assert!([&b, &c, &d].iter().all(|store| store.store_id() == a.store_id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_wakes_the_other_store() {
    let fixture = Fixture::postgres();
    let (here, there) = (fixture.open().await, fixture.open().await);
    let mut changed = there.changed();
    // The first wake-ups may be the poll's; a notification is far quicker than its second.
    let mut fastest = Duration::MAX;
    for n in 0..5 {
        let start = Instant::now();
        let revision = here.create_limit(&client(&n.to_string()), limit(1.0, 1.0)).await.unwrap();
        changed.wait_for(|known| *known >= revision).await.unwrap();
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
    assert_eq!(there.load().await.unwrap().limits.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_past_the_notification_is_polled() {
    let fixture = Fixture::postgres();
    let store = fixture.open().await;
    let mut changed = store.changed();
    fixture.execute("UPDATE meta SET revision = 41").await;
    let waited = tokio::time::timeout(Duration::from_secs(10), changed.wait_for(|known| *known == 41)).await;
    assert!(waited.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_listener_comes_back() {
    let fixture = Fixture::postgres();
    let there = fixture.open().await;
    fixture
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
    let revision = written(&fixture.open().await).await;
    let mut changed = there.changed();
    let waited = tokio::time::timeout(Duration::from_secs(10), changed.wait_for(|known| *known >= revision)).await;
    assert!(waited.is_ok());
}

async fn written(store: &Store) -> u64 {
    store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap()
}

/// Every table and column has its comment.
#[tokio::test]
async fn every_column_is_commented() {
    let fixture = Fixture::postgres();
    let _store = fixture.open().await;
    let client = postgres_client(&fixture.url()).await;
    let sql = "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 \
               AND c.relname NOT LIKE '%diesel%' AND (col_description(c.oid, a.attnum) IS NULL \
               OR obj_description(c.oid) IS NULL)";
    let bare: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(bare, [""; 0]);
}

/// The databases of these tests sort bytewise anyway; the column must do so in any database.
#[tokio::test]
async fn client_ids_sort_bytewise_in_any_locale() {
    let fixture = Fixture::postgres();
    let _store = fixture.open().await;
    let client = postgres_client(&fixture.url()).await;
    let sql = "SELECT collname::text FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation \
               WHERE a.attrelid IN ('limits'::regclass, 'limit_tombstones'::regclass) AND a.attname = 'client_id'";
    let collations: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(collations, ["C", "C"]);
}

/// Longer than a statement that somebody waits for may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_import_of_the_old_table_and_whoever_waits_for_it_are_given_time() {
    let fixture = Fixture::postgres();
    let slow = "CREATE VIEW clients_limits AS \
                SELECT 1 AS id, 'old'::text AS client_id, 5 AS capacity, 1 AS rate_per_sec FROM pg_sleep(4.5)";
    fixture.execute(slow).await;
    let start = Instant::now();
    let (first, second) = tokio::join!(fixture.open(), fixture.open());
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
    for store in [first, second] {
        assert_eq!(store.load().await.unwrap().limits, [(client("old"), limit(5.0, 1.0))]);
    }
}
