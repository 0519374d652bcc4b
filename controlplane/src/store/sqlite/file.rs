//! The database file: made private, and used by one instance at a time.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::Invalid;
use crate::store::StoreError;

/// Holds `<file>.lock`; the kernel releases it when the process ends, however it ends.
pub(super) struct FileLock(#[expect(dead_code, reason = "held, not read")] File);

impl FileLock {
    /// Takes the lock or says who is in the way.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let mut name: OsString = database.as_os_str().into();
        name.push(".lock");
        let file = open_private(&PathBuf::from(name)).map_err(|e| sort(database, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: database.into() }),
            Err(TryLockError::Error(e)) => Err(sort(database, &e)),
        }
    }
}

/// Makes the file, readable by its owner alone, if it does not exist. SQLite gives its side files the same mode. Answers
/// its real path: two instances that reach it by different links must find the same lock.
pub(super) fn make_private(database: &Path) -> Result<PathBuf, StoreError> {
    let made = open_private(database).and_then(|_| database.canonicalize());
    made.map_err(|e| sort(database, &e))
}

/// Whether the file's directory is there, which nobody makes.
pub(in crate::store) fn check(database: &Path) -> Result<(), Invalid> {
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    match directory.is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(unusable(database, "its directory does not exist")),
    }
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn sort(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        io::ErrorKind::NotFound => unusable(path, "its directory does not exist").into(),
        _ => unusable(path, &error.to_string()).into(),
    }
}

/// The path given cannot be a database file.
pub(super) fn unusable(path: &Path, why: &str) -> Invalid {
    let expected = format!("expected a file that can be read and written, got {}: {why}", path.display());
    Invalid { field: "database.url", expected }
}
