//! The last good configuration on disk, so that a data plane started without a control plane serves at once.

mod format;
mod identity;
mod saver;

pub(crate) use identity::Identity;
pub(crate) use saver::keep_saved;

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::made_up_replica_id,
    snapshot::Snapshot,
    sync::{Holder, Step},
};

const FILE: &str = "snapshot.bin";
const LOCK: &str = "lock";

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another data plane has it.
    #[error("state directory {} is in use by another data plane; give each its own with --state-dir", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or opened.
    #[error("state directory {}: {reason}; choose another with --state-dir, or \"none\"", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
}

/// A state directory that this process alone uses, until dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Locked while open: the kernel lets go of it however the process ends.
    lock: Arc<File>,
}

impl StateDir {
    /// Makes the directory if there is none, and takes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let unusable = |reason| StateDirError::Unusable { path: path.into(), reason };
        // Keys of clients are kept here: nobody else need read them.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), lock: Arc::new(lock) }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse(path.into())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Serves what was saved, if it is whole; says why if not.
    pub(crate) fn restore(&self, holder: &mut Holder) {
        let path = self.path.join(FILE);
        match self.load() {
            Ok(Some(step)) => {
                let (revision, limits) = (step.revision, step.limits.len());
                match holder.install(step) {
                    Ok(()) => tracing::info!(file = %path.display(), revision, limits, "serving the saved snapshot"),
                    Err(refusal) => tracing::warn!(file = %path.display(), "saved snapshot ignored: {refusal}"),
                }
            }
            Ok(None) => tracing::info!(file = %path.display(), "no saved snapshot; waiting for the control plane"),
            Err(error) => tracing::warn!(file = %path.display(), "saved snapshot ignored: {error}"),
        }
    }

    /// Who this data plane is: `replica_id` if that is given, else as last time.
    pub(crate) fn identity(&self, replica_id: Option<&str>) -> Identity {
        Identity::restore(self, replica_id, made_up_replica_id)
    }

    fn load(&self) -> Result<Option<Step>, format::Unreadable> {
        match File::open(self.path.join(FILE)) {
            Ok(file) => format::read(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces what was saved: a reader finds the old file or the new one, whenever the power fails.
    fn save(&self, snapshot: &Snapshot) -> io::Result<()> {
        let temporary = self.path.join(format!("{FILE}.new"));
        let written = write_synced(&temporary, snapshot);
        if written.is_err() {
            // A half-written file on a full disk only takes room; if it cannot be removed, the next save replaces it.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        fs::rename(&temporary, self.path.join(FILE))?;
        File::open(&self.path)?.sync_all()
    }
}

fn write_synced(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 18, create_private(path)?);
    format::write(&mut writer, snapshot)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

/// Readable by its owner alone, whatever an older file of this name allowed.
fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::options().write(true).create_new(true).mode(0o600).open(path),
    }
}

/// What becomes of a saved snapshot with this content, checksum and all; why it is refused.
#[cfg(feature = "fuzzing")]
pub(crate) fn restore_content(content: &[u8], holder: &mut Holder) -> Result<(), String> {
    let step = format::read(io::Cursor::new(format::file(content))).map_err(|error| error.to_string())?;
    holder.install(step).map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests;
