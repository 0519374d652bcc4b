//! Opening, migrating, and what the old service left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use controlplane::store::{DatabaseConfig, Store, StoreError};

use crate::fixture::{Fixture, client, limit, on_both};

on_both!(
    data_and_identity_outlive_the_store,
    migrations_go_down_and_up_again,
    a_newer_schema_is_refused,
    the_old_table_is_imported_once,
    the_old_table_may_appear_later,
    a_table_of_that_name_without_its_columns_is_named,
);

async fn data_and_identity_outlive_the_store(fixture: Fixture) {
    let store = fixture.open().await;
    let id = store.store_id().to_owned();
    let revision = store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    drop(store);
    let store = fixture.open().await;
    assert_eq!((store.store_id(), *store.changed().borrow()), (&*id, revision));
    assert_eq!(store.get_limit(&client("a")).await.unwrap().revision, revision);
    store.ping().await.unwrap();
}

const TABLES: [&str; 8] =
    ["authority", "backends", "limit_tombstones", "limits", "meta", "replicas", "revisions", "settings"];

async fn migrations_go_down_and_up_again(fixture: Fixture) {
    let store = fixture.open().await;
    store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    drop(store);
    assert_eq!(fixture.tables().await, TABLES);
    Store::remove_schema(&fixture.config).await.unwrap();
    assert_eq!(fixture.tables().await, [""; 0]);
    assert_eq!(fixture.open().await.load().await.unwrap().revision, 0);
}

async fn a_newer_schema_is_refused(fixture: Fixture) {
    drop(fixture.open().await);
    fixture.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')").await;
    let refused = Store::open(&fixture.config).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::TooNew { migration }) if migration == "99999999999999"));
}

const OLD_TABLE: &str = "CREATE TABLE clients_limits (id INTEGER PRIMARY KEY, client_id VARCHAR(255), \
                         capacity NUMERIC, rate_per_sec REAL);";

async fn the_old_table_is_imported_once(fixture: Fixture) {
    fixture.execute(OLD_TABLE).await;
    let rows = "INSERT INTO clients_limits VALUES (1, '10.0.0.1:80', 10, 1), (2, 'half', 2.5, 0.1), \
                (3, 'zero', 0, 1), (4, NULL, 1, 1), (5, 'nothing', NULL, 1), (6, '', 1, 1), (7, 'half', 3.5, 0.1)";
    fixture.execute(rows).await;
    let store = fixture.open().await;
    // REAL holds 0.1 in single precision in PostgreSQL; it stays the 0.1 that was meant.
    let taken = vec![(client("10.0.0.1:80"), limit(10.0, 1.0)), (client("half"), limit(3.5, 0.1))];
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.revision, &loaded.limits), (1, &taken));
    store.delete_limit(&client("half")).await.unwrap();
    drop(store);
    assert_eq!(fixture.open().await.load().await.unwrap().limits, taken[..1]);
    assert!(fixture.tables().await.contains(&"clients_limits".to_owned()));
}

async fn a_table_of_that_name_without_its_columns_is_named(fixture: Fixture) {
    fixture.execute("CREATE TABLE clients_limits (client_id VARCHAR(255), capacity NUMERIC, rate_per_sec REAL)").await;
    let Err(StoreError::Refused(said)) = Store::open(&fixture.config).await.map(|_| ()) else { panic!("taken over") };
    assert!(said.contains("id") && said.contains("rename the table") && said.lines().count() == 1, "{said}");
    fixture.execute("ALTER TABLE clients_limits RENAME TO somebody_elses").await;
    fixture.open().await;
}

async fn the_old_table_may_appear_later(fixture: Fixture) {
    let store = fixture.open().await;
    store.create_limit(&client("both"), limit(1.0, 1.0)).await.unwrap();
    let before = store.create_limit(&client("old"), limit(1.0, 1.0)).await.unwrap();
    store.delete_limit(&client("old")).await.unwrap();
    drop(store);
    fixture.execute(OLD_TABLE).await;
    fixture.execute("INSERT INTO clients_limits VALUES (1, 'both', 9, 9), (2, 'old', 9, 9)").await;
    let store = fixture.open().await;
    let limits = store.load().await.unwrap().limits;
    assert_eq!(limits, [(client("both"), limit(1.0, 1.0)), (client("old"), limit(9.0, 9.0))]);
    let changes = store.changes_since(before, None).await.unwrap().unwrap();
    assert_eq!((changes.upserted.len(), changes.deleted.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_locked_by_whatever_link_it_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("b.db"), directory.path().join("link.db"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let open = |path: &std::path::Path| {
        let config = DatabaseConfig::parse(&format!("sqlite://{}", path.display())).unwrap();
        async move { Store::open(&config).await }
    };
    for (first, second) in [(&link, &file), (&file, &link)] {
        let _held = open(first).await.unwrap();
        assert!(matches!(open(second).await.map(|_| ()), Err(StoreError::Locked { .. })));
    }
}

#[tokio::test]
async fn a_sqlite_file_has_one_instance() {
    let fixture = Fixture::sqlite();
    let store = fixture.open().await;
    let second = Store::open(&fixture.config).await.map(|_| ()).unwrap_err();
    assert!(matches!(second, StoreError::Locked { .. }), "{second:?}");
    assert!(second.to_string().contains("another instance"));
    drop(store);
    fixture.open().await;
}

#[tokio::test]
async fn a_sqlite_file_is_private() {
    let fixture = Fixture::sqlite();
    let store = fixture.open().await;
    store.create_limit(&client("a"), limit(1.0, 1.0)).await.unwrap();
    let DatabaseConfig::Sqlite { path } = &fixture.config else { panic!("not sqlite") };
    for end in ["", "-wal", "-shm", ".lock"] {
        let file = PathBuf::from(format!("{}{end}", path.display()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn unusable_sqlite_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let open = async |path: PathBuf| Store::open(&DatabaseConfig::Sqlite { path }).await.map(|_| ()).unwrap_err();
    let missing = open(directory.path().join("no/such/b.db")).await;
    assert!(matches!(&missing, StoreError::Invalid(e) if e.field == "database.url"), "{missing:?}");
    assert!(missing.to_string().contains("directory does not exist"), "{missing}");
    let garbage = directory.path().join("garbage.db");
    std::fs::write(&garbage, "not a database, certainly not; ".repeat(100)).unwrap();
    let corrupt = open(garbage).await;
    assert!(matches!(corrupt, StoreError::Corrupt(_)), "{corrupt:?}");
}
