//! The database: one API over PostgreSQL and SQLite. SQL stands only here.
//!
//! Every committed change takes the next revision from the row of `meta`, whose lock orders the writers, so revisions
//! become visible in order and without gaps. An operation is written once, against the trait `rows::Rows`, which both
//! databases implement.

mod backends;
mod candidate;
mod config;
mod epochs;
mod error;
mod history;
mod legacy;
mod limits;
mod migrate;
mod postgres;
mod records;
mod rows;
mod schema;
mod snapshot;
mod sqlite;
mod types;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use postgres::Postgres;
use rows::{Operation, Rows, Written};
use sqlite::Sqlite;

pub use candidate::Candidate;
pub use config::{DatabaseConfig, PostgresConfig, TlsMode};
pub use epochs::Epoch;
pub use error::StoreError;
pub use types::{Changes, Loaded, Origin, Reconciled, Touched};

/// How long an operation somebody waits for may take, waiting for a connection included.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long opening may take once connected: where the old service left a million limits, taking them over is slow, and
/// another control plane that opens the database meanwhile waits for that.
const OPEN_WITHIN: Duration = Duration::from_secs(600);
/// How long reading everything may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);
/// Deletions remembered at least; a reader that missed more has to load everything.
const TOMBSTONES_KEPT: u32 = 100_000;

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    store_id: String,
    tombstones_kept: u32,
    /// Writes under way.
    writes: TaskTracker,
    /// The newest revision known here. A watch: who waits needs the newest, not each.
    changed: watch::Sender<u64>,
}

enum Database {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

/// How an operation uses the database.
#[derive(Clone, Copy)]
enum Access {
    /// One statement.
    Read,
    /// Several statements that see the same state.
    Snapshot,
    /// Changes something.
    Write,
    /// Changes something, and may be cut short after any statement: no lock is held between two, so that a control plane
    /// that is stopped there holds up nobody.
    Steps,
}

impl Store {
    /// Opens the database: connects, migrates (under a lock), and takes over the old service's limits, once.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        Self::open_keeping(config, TOMBSTONES_KEPT).await
    }

    /// Like [`Store::open`], with another number of deletions remembered (at least; up to a 64th more).
    pub async fn open_keeping(config: &DatabaseConfig, tombstones_kept: u32) -> Result<Self, StoreError> {
        let changed = watch::Sender::new(0);
        let database = match config {
            DatabaseConfig::Sqlite { path } => Database::Sqlite(Sqlite::open(path).await?),
            DatabaseConfig::Postgres(postgres) => {
                Database::Postgres(Box::new(Postgres::open(postgres, changed.clone()).await?))
            }
        };
        let (meta, newest) = database.run(legacy::Begin, Access::Write, OPEN_WITHIN).await?;
        announce(&changed, newest);
        let (store_id, writes) = (meta.store_id, TaskTracker::new());
        Ok(Self { inner: Arc::new(Inner { database, store_id, tombstones_kept, writes, changed }) })
    }

    /// Reverts all migrations, which removes all data. The database must not be in use.
    pub async fn remove_schema(config: &DatabaseConfig) -> Result<(), StoreError> {
        match config {
            DatabaseConfig::Sqlite { path } => Sqlite::remove_schema(path.clone()).await,
            DatabaseConfig::Postgres(postgres) => Postgres::remove_schema(postgres).await,
        }
    }

    /// `postgresql` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self.inner.database {
            Database::Postgres(_) => "postgresql",
            Database::Sqlite(_) => "sqlite",
        }
    }

    /// Random identity of the database, made with it.
    pub fn store_id(&self) -> &str {
        &self.inner.store_id
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(Ping, Access::Read).await
    }

    /// Wakes when something may have changed, be it here or (PostgreSQL) through another control plane; there at the
    /// latest a second after. The value is the newest revision known.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Waits for writes under way that nobody waits for any more, at most as long as one may take.
    pub async fn finish(&self) {
        self.inner.writes.close();
        // What is not done by then is either done later or not at all, as after a crash.
        let _ = tokio::time::timeout(ANSWER_WITHIN, self.inner.writes.wait()).await;
    }

    fn tombstones_kept(&self) -> u32 {
        self.inner.tombstones_kept
    }

    async fn read<O: Operation>(&self, operation: O, access: Access) -> Result<O::Answer, StoreError> {
        let within = match access {
            Access::Snapshot => SNAPSHOT_WITHIN,
            Access::Read | Access::Write | Access::Steps => ANSWER_WITHIN,
        };
        self.read_within(operation, access, within).await
    }

    async fn read_within<O: Operation>(
        &self,
        operation: O,
        access: Access,
        within: Duration,
    ) -> Result<O::Answer, StoreError> {
        self.inner.database.run(operation, access, within).await
    }

    /// Runs in a task of its own: whoever asked may give up (a client that disconnects, a deadline), and still a
    /// write is either not done or announced.
    async fn write<T: Send + 'static>(
        &self,
        operation: impl Operation<Answer = Written<T>>,
        access: Access,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        let task = self.inner.writes.spawn(async move {
            let (answer, newest) = inner.database.run(operation, access, ANSWER_WITHIN).await?;
            announce(&inner.changed, newest);
            Ok(answer)
        });
        match tokio::time::timeout(ANSWER_WITHIN, task).await {
            Ok(done) => done.unwrap_or_else(|e| Err(StoreError::Internal(e.to_string()))),
            Err(_) => Err(StoreError::timed_out(ANSWER_WITHIN)),
        }
    }
}

impl Database {
    async fn run<O: Operation>(&self, operation: O, access: Access, within: Duration) -> Result<O::Answer, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.run(operation, access, within).await,
            Self::Sqlite(sqlite) => sqlite.run(operation, access, within).await,
        }
    }
}

/// Writers finish in any order here; the newest revision stays.
fn announce(changed: &watch::Sender<u64>, newest: u64) {
    changed.send_if_modified(|known| {
        let is_newer = newest > *known;
        *known = newest.max(*known);
        is_newer
    });
}

struct Ping;

impl Operation for Ping {
    type Answer = ();

    async fn run<C: Rows>(self, rows: &mut C) -> Result<(), StoreError> {
        rows.meta().await?;
        Ok(())
    }
}
