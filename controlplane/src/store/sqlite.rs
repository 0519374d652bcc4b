//! SQLite: a file of its own, one writer and a few readers, each statement on a thread that may block.

mod file;
mod lane;
mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use futures_util::FutureExt;

use super::rows::Operation;
use super::{Access, StoreError, migrate};
use file::FileLock;
pub(super) use file::check;
use lane::Lane;

/// Snapshots (WAL) let this many read while one writes.
const READERS: usize = 4;

/// synchronous=FULL: what was acknowledged is on disk. WAL: readers and the writer do not wait for each other.
const SET_UP: &str = "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; \
                      PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";

/// An open SQLite file.
pub(super) struct Sqlite {
    writer: Lane,
    readers: Lane,
}

impl Sqlite {
    /// Locks the file against other instances, makes it if need be, and migrates it.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        blocking(move || {
            let path = file::make_private(&path)?;
            let lock = std::sync::Arc::new(FileLock::take(&path)?);
            let mut connection = connect(&path)?;
            migrate::up(&mut connection)?;
            let writer = Lane::new(path.clone(), 1, lock.clone());
            writer.put_back(connection);
            Ok(Self { writer, readers: Lane::new(path, READERS, lock) })
        })
        .await
    }

    /// Reverts all migrations of the file.
    pub(super) async fn remove_schema(path: PathBuf) -> Result<(), StoreError> {
        blocking(move || {
            let path = file::make_private(&path)?;
            let _lock = FileLock::take(&path)?;
            migrate::down(&mut connect(&path)?)
        })
        .await
    }

    /// Runs an operation in one transaction. `within` bounds the wait for a read's answer and for a write's connection;
    /// once begun, a write ends.
    pub(super) async fn run<O: Operation>(
        &self,
        operation: O,
        access: Access,
        within: Duration,
    ) -> Result<O::Answer, StoreError> {
        match access {
            Access::Write | Access::Steps => {
                self.writer.run(within, |c| c.immediate_transaction(|c| finish(operation.run(c)))).await
            }
            Access::Read | Access::Snapshot => {
                let answer = self.readers.run(within, |c| c.transaction(|c| finish(operation.run(c))));
                tokio::time::timeout(within, answer).await.unwrap_or_else(|_| Err(StoreError::timed_out(within)))
            }
        }
    }
}

/// Takes the answer of an operation over SQLite, whose rows never make it wait.
fn finish<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    operation.now_or_never().unwrap_or_else(|| Err(StoreError::Internal("an operation waited inside SQLite".into())))
}

fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    let text = path.to_str().ok_or_else(|| file::unusable(path, "its name is not UTF-8"))?;
    let opened = SqliteConnection::establish(text);
    let mut connection = opened.map_err(|e| StoreError::from_message(&e.to_string()))?;
    connection.batch_execute(SET_UP)?;
    Ok(connection)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(StoreError::Internal(e.to_string())))
}
