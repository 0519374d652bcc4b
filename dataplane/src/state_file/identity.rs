//! Who this data plane is to the ledger, and which share of every limit is its own: the same after a restart.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{StateDir, create_private};

const FILE: &str = "lease.json";

/// Kept in the state directory, if there is one.
#[derive(Debug)]
pub(crate) struct Identity {
    replica_id: String,
    share: f64,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    directory: PathBuf,
    /// The directory stays this process's for as long as this is used.
    _lock: Arc<File>,
    /// One complaint is enough.
    complained: bool,
}

impl Identity {
    /// Of a data plane without a state directory.
    pub(crate) fn new(replica_id: String) -> Self {
        Self { replica_id, share: 0.0, kept: None }
    }

    /// As kept in `directory`, if that is of this `replica_id`, or none is given; else a new one.
    pub(super) fn restore(directory: &StateDir, replica_id: Option<&str>, made_up: impl FnOnce() -> String) -> Self {
        let kept = Kept { directory: directory.path.clone(), _lock: directory.lock.clone(), complained: false };
        let found = read(&directory.path.join(FILE)).filter(|(id, _)| replica_id.is_none_or(|given| given == id));
        let is_new = found.is_none();
        let (replica_id, share) = found.unwrap_or_else(|| (replica_id.map_or_else(made_up, str::to_owned), 0.0));
        let mut identity = Self { replica_id, share, kept: Some(kept) };
        if is_new {
            identity.save();
        }
        identity
    }

    /// Names this data plane.
    pub(crate) fn replica_id(&self) -> &str {
        &self.replica_id
    }

    /// Its standing share, as last told, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    /// It is another one now. On disk when this returns: the ledger must not hear that a share has become smaller before
    /// a restart would know it.
    pub(crate) fn keep_share(&mut self, share: f64) {
        let before = std::mem::replace(&mut self.share, share);
        if share != before && !self.save() && share < before {
            // No share at all is better than one that others have.
            self.forget();
        }
    }

    /// False: it could not be saved.
    fn save(&mut self) -> bool {
        let text = json!({ "replica_id": self.replica_id, "share": self.share }).to_string();
        let Some(kept) = &mut self.kept else { return true };
        let saved = write(&kept.directory, &text);
        let complained = std::mem::replace(&mut kept.complained, saved.is_err());
        if let Err(error) = saved.as_ref()
            && !complained
        {
            tracing::warn!("cannot save this data plane's share of limits: {error}; a restart may not know it");
        }
        saved.is_ok()
    }

    fn forget(&self) {
        if let Some(kept) = &self.kept {
            // If that is impossible too, the disk is gone, and with it what is on it.
            let _ = fs::remove_file(kept.directory.join(FILE));
        }
    }
}

fn read(path: &Path) -> Option<(String, f64)> {
    let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let id = value["replica_id"].as_str().filter(|id| (1..=256).contains(&id.len()))?;
    let share = value["share"].as_f64().filter(|share| (0.0..=1.0).contains(share))?;
    Some((id.into(), share))
}

fn write(directory: &Path, text: &str) -> io::Result<()> {
    let temporary = directory.join(format!("{FILE}.new"));
    let written = create_private(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    if written.is_err() {
        // A half-written file on a full disk only takes room.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    fs::rename(&temporary, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(directory: &StateDir, given: Option<&str>) -> Identity {
        Identity::restore(directory, given, || "made-up".into())
    }

    #[test]
    fn it_is_the_same_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        let mut first = restored(&directory, None);
        assert_eq!((first.replica_id(), first.share()), ("made-up", 0.0));
        first.keep_share(0.25);
        let again = Identity::restore(&directory, None, || "another".into());
        assert_eq!((again.replica_id(), again.share()), ("made-up", 0.25));
    }

    #[test]
    fn another_name_has_no_share() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        restored(&directory, Some("a")).keep_share(0.5);
        assert_eq!(restored(&directory, Some("a")).share(), 0.5);
        assert_eq!((restored(&directory, Some("b")).replica_id(), restored(&directory, None).share()), ("b", 0.0));
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        for text in ["", "{", r#"{"replica_id":"","share":0.5}"#, r#"{"replica_id":"a","share":2}"#] {
            fs::write(root.path().join(FILE), text).unwrap();
            assert_eq!((restored(&directory, None).replica_id(), restored(&directory, None).share()), ("made-up", 0.0));
        }
    }
}
