//! PostgreSQL: a pool of connections, one more that listens for other control planes, and one for the authority's lock.

mod claim;
mod connector;
mod listen;
mod refusal;
mod rows;
mod tls;

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::rows::Operation;
use super::{Access, PostgresConfig, StoreError, migrate};
use crate::domain::Invalid;
pub(super) use claim::Claim;
use connector::Connector;

/// What writers notify and all control planes of the database listen to.
const CHANNEL: &str = "balancer_changed";
/// Connections in the pool. Writers queue for one row anyway.
const CONNECTIONS: usize = 16;
/// Any number of control planes may start at once; they migrate one after the other. The key is arbitrary.
const MIGRATE_LOCK: &str =
    "SET lock_timeout = '60s'; SET statement_timeout = '600s'; SELECT pg_advisory_lock(7813052174)";
/// How long waiting for the lock may take; the server gives up before.
const LOCK_WITHIN: Duration = Duration::from_secs(65);

/// A PostgreSQL database.
pub(super) struct Postgres {
    pool: Pool<AsyncPgConnection>,
    connector: Connector,
    /// Ends with the store.
    _listener: AbortOnDropHandle<()>,
}

impl Postgres {
    /// Connects, migrates under a lock, and begins to listen: `changed` gets the revision others have written.
    pub(super) async fn open(config: &PostgresConfig, changed: watch::Sender<u64>) -> Result<Self, StoreError> {
        let connector = Connector::new(config)?;
        migrate_under_lock(&connector, migrate::up).await?;
        let pool = pool(connector.clone())?;
        let listener = AbortOnDropHandle::new(tokio::spawn(listen::follow(connector.clone(), changed)));
        Ok(Self { pool, connector, _listener: listener })
    }

    /// A session that may become the authority's.
    pub(super) async fn claim(&self) -> Result<Claim, StoreError> {
        Claim::begin(&self.connector).await
    }

    /// Reverts all migrations.
    pub(super) async fn remove_schema(config: &PostgresConfig) -> Result<(), StoreError> {
        migrate_under_lock(&Connector::new(config)?, migrate::down).await
    }

    /// Runs an operation on a connection of the pool.
    pub(super) async fn run<O: Operation>(
        &self,
        operation: O,
        access: Access,
        within: Duration,
    ) -> Result<O::Answer, StoreError> {
        let deadline = tokio::time::Instant::now() + within;
        let got = tokio::time::timeout_at(deadline, self.pool.get()).await;
        let mut connection = match got {
            Ok(got) => got.map_err(no_connection)?,
            Err(_) => return Err(StoreError::timed_out(within)),
        };
        match tokio::time::timeout_at(deadline, transact(&mut connection, operation, access, within)).await {
            Ok(answer) => answer,
            Err(_) => {
                // A statement is still under way on it: it must not go back to the pool.
                drop(Object::take(connection));
                Err(StoreError::timed_out(within))
            }
        }
    }
}

async fn transact<O: Operation>(
    connection: &mut AsyncPgConnection,
    operation: O,
    access: Access,
    within: Duration,
) -> Result<O::Answer, StoreError> {
    let work = async move |c: &mut AsyncPgConnection| {
        // What a connection allows by itself is enough for what somebody waits for.
        if within > super::ANSWER_WITHIN {
            c.batch_execute(&allow(within)).await?;
        }
        operation.run(c).await
    };
    match access {
        Access::Read | Access::Steps => work(connection).await,
        Access::Write => connection.build_transaction().run(work).await,
        Access::Snapshot => connection.build_transaction().repeatable_read().read_only().run(work).await,
    }
}

/// Lets statements and pauses of a transaction take as long as the whole may; the server gives up after the client.
fn allow(within: Duration) -> String {
    let allowed_ms = within.as_millis() + 1000;
    format!("SET LOCAL statement_timeout = {allowed_ms}; SET LOCAL idle_in_transaction_session_timeout = {allowed_ms}")
}

/// Whether the certificates can be read that the connection needs.
pub(super) fn check(config: &PostgresConfig) -> Result<(), Invalid> {
    match tls::client_config(config.tls_mode, config.root_cert.as_deref()) {
        Err(StoreError::Invalid(invalid)) => Err(invalid),
        // Anything else is said when the connection is made.
        _ => Ok(()),
    }
}

fn pool(connector: Connector) -> Result<Pool<AsyncPgConnection>, StoreError> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |_| {
        let connector = connector.clone();
        async move { connector.connect_for_pool().await }.boxed()
    });
    // The connector knows the address; the manager's own URL is for others.
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Pool::builder(manager).max_size(CONNECTIONS).build().map_err(|e| StoreError::Internal(e.to_string()))
}

/// Why the pool has no connection to give, without the layers in between.
fn no_connection(error: PoolError) -> StoreError {
    use diesel_async::pooled_connection::PoolError as Inner;
    match error {
        PoolError::Backend(Inner::ConnectionError(ConnectionError::BadConnection(reason))) => {
            StoreError::Unavailable(reason)
        }
        PoolError::Backend(Inner::ConnectionError(ConnectionError::InvalidConnectionUrl(reason))) => {
            StoreError::Refused(reason)
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Does `work` on a connection of its own, while no other control plane does.
async fn migrate_under_lock(
    connector: &Connector,
    work: impl FnOnce(&mut AsyncMigrationHarness<AsyncPgConnection>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let mut connection = connector.connect().await?;
    let locked = tokio::time::timeout(LOCK_WITHIN, connection.batch_execute(MIGRATE_LOCK)).await;
    locked.map_err(|_| StoreError::timed_out(LOCK_WITHIN))??;
    // The harness blocks its thread.
    let done = tokio::task::spawn_blocking(move || work(&mut AsyncMigrationHarness::new(connection))).await;
    done.unwrap_or_else(|e| Err(StoreError::Internal(e.to_string())))
}
