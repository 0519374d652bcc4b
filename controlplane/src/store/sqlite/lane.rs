//! A few connections to the file, used by as many threads at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::SqliteConnection;
use tokio::sync::Semaphore;

use super::file::FileLock;
use super::{blocking, connect};
use crate::store::StoreError;

/// Connections, opened when first needed.
#[derive(Clone)]
pub(super) struct Lane(Arc<Shared>);

struct Shared {
    /// One permit per connection that may exist; waiting for one is what can be cancelled.
    permits: Arc<Semaphore>,
    /// Connections nobody uses. A std mutex: it is held for a push or a pop.
    idle: Mutex<Vec<SqliteConnection>>,
    path: PathBuf,
    /// Released after the last connection: fields drop in order.
    _lock: Arc<FileLock>,
}

impl Lane {
    pub(super) fn new(path: PathBuf, connections: usize, lock: Arc<FileLock>) -> Self {
        let permits = Arc::new(Semaphore::new(connections));
        Self(Arc::new(Shared { permits, idle: Mutex::default(), path, _lock: lock }))
    }

    /// Runs `work` on a connection, for which it waits no longer than `within`, and a blocking thread. Once begun it
    /// ends, even if the caller no longer waits.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let acquired = tokio::time::timeout(within, self.0.permits.clone().acquire_owned()).await;
        let acquired = acquired.map_err(|_| StoreError::timed_out(within))?;
        let permit = acquired.map_err(|e| StoreError::Internal(e.to_string()))?;
        let lane = self.clone();
        blocking(move || {
            let _permit = permit;
            let mut connection = lane.take().map_or_else(|| connect(&lane.0.path), Ok)?;
            let answer = work(&mut connection);
            // After a fault of the database (not of the user) a new connection is the safer one.
            if !matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Internal(_))) {
                lane.put_back(connection);
            }
            answer
        })
        .await
    }

    fn take(&self) -> Option<SqliteConnection> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn put_back(&self, connection: SqliteConnection) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
