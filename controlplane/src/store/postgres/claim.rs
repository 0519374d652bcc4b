//! The authority's lock: an advisory lock of a session of its own, so that it ends with the session.
//!
//! Whoever has it and is stopped or cut off must find out before the server gives the lock to another. So the server ends
//! a session that is silent for [`SILENCE_MS`], and who has the lock counts on it for [`Claim::LASTS`] only, from when it
//! asked.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use super::connector::Connector;
use crate::store::StoreError;
use crate::store::config::describe;

/// Key of the lock; arbitrary, and one per database.
const LOCK: i64 = 7_813_052_175;
/// The server ends a session that has said nothing for so long, or whose machine does not answer.
const SILENCE_MS: u32 = 3_000;

/// A session that has the lock, or may get it.
pub(in crate::store) struct Claim {
    client: Client,
    driver: AbortOnDropHandle<()>,
    /// The server's process when the lock was taken. A pooler in between may lead to another.
    holder: Option<i32>,
}

impl Claim {
    /// The lock is held for so long after it was asked for, whatever happens to the session.
    pub(in crate::store) const LASTS: Duration = Duration::from_millis(1_500);

    pub(super) async fn begin(connector: &Connector) -> Result<Self, StoreError> {
        let (client, driver) = connector.connect_raw().await?;
        let drive = async move {
            // Why it ended is said by the queries that fail.
            let _ = driver.await;
        };
        let claim = Self { client, driver: AbortOnDropHandle::new(tokio::spawn(drive)), holder: None };
        claim.answer(claim.client.batch_execute(&set_up())).await?;
        // A standby has locks of its own, which are no other's business.
        let row = claim.answer(claim.client.query_one("SELECT pg_is_in_recovery()", &[])).await?;
        if row.get(0) {
            return Err(StoreError::Unavailable("the server is a standby, whose locks do not count".into()));
        }
        Ok(claim)
    }

    /// Tries to take the lock; answers the URL of who has it.
    pub(in crate::store) async fn try_take(&mut self) -> Result<Option<String>, StoreError> {
        let ask = "SELECT pg_try_advisory_lock($1), pg_backend_pid(), (SELECT address FROM authority)";
        let row = self.answer(self.client.query_one(ask, &[&LOCK])).await?;
        if row.get(0) {
            self.holder = Some(row.get(1));
            return Ok(None);
        }
        Ok(Some(row.get::<_, Option<String>>(2).unwrap_or_default()))
    }

    /// Asks whether the session is still the one that took the lock.
    pub(in crate::store) async fn confirm(&self) -> Result<(), StoreError> {
        let row = self.answer(self.client.query_one("SELECT pg_backend_pid()", &[])).await?;
        if Some(row.get::<_, i32>(0)) == self.holder {
            return Ok(());
        }
        Err(StoreError::Unavailable("the session that had the lock is another now (is there a pooler?)".into()))
    }

    /// Ends when the session does.
    pub(in crate::store) async fn broken(&mut self) -> StoreError {
        // An error would say that the task panicked: then, too, it is over.
        let _ = (&mut self.driver).await;
        StoreError::Unavailable("the session that had the lock has ended".into())
    }

    async fn answer<T>(&self, query: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
        match timeout(Self::LASTS, query).await {
            Ok(answer) => answer.map_err(|error| StoreError::Unavailable(describe(&error))),
            Err(_) => Err(StoreError::timed_out(Self::LASTS)),
        }
    }
}

/// A machine that is gone is found out by TCP; a process that is stopped by its silence, which PostgreSQL 13 does not
/// notice.
fn set_up() -> String {
    format!(
        "SET statement_timeout = '1s'; SET tcp_user_timeout = {SILENCE_MS}; SET tcp_keepalives_idle = 1; \
         SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 2; \
         SELECT set_config(name, '{SILENCE_MS}', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
    )
}
