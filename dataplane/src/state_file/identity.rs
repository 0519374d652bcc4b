//! Who this data plane is to the ledger, and which share of every limit is its own: the same after a restart.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{StateDir, create_private};
use crate::lease::Saved;

const FILE: &str = "lease.json";

/// Kept in the state directory, if there is one.
#[derive(Debug)]
pub(crate) struct Identity {
    replica_id: String,
    saved: Saved,
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
        Self { replica_id, saved: Saved::default(), kept: None }
    }

    /// As kept in `directory`, if that is of this `replica_id`, or none is given; else a new one.
    pub(super) fn restore(directory: &StateDir, replica_id: Option<&str>, made_up: impl FnOnce() -> String) -> Self {
        let kept = Kept { directory: directory.path.clone(), _lock: directory.lock.clone(), complained: false };
        let found = read(&directory.path.join(FILE)).filter(|(id, _)| replica_id.is_none_or(|given| given == id));
        let is_new = found.is_none();
        let new = || (replica_id.map_or_else(made_up, str::to_owned), Saved::default());
        let (replica_id, saved) = found.unwrap_or_else(new);
        let mut identity = Self { replica_id, saved, kept: Some(kept) };
        if is_new {
            identity.save();
        }
        identity
    }

    /// Names this data plane.
    pub(crate) fn replica_id(&self) -> &str {
        &self.replica_id
    }

    /// Another data plane has this name, and the share that came with it: from now on, also after a restart, this one has
    /// another, and none.
    pub(crate) fn rename(&mut self, random: u32) {
        // Names are at most 256 bytes long.
        let kept: String = self.replica_id.chars().take(32).collect();
        (self.replica_id, self.saved) = (format!("{kept}-{random:08x}"), Saved::default());
        if !self.save() {
            self.forget();
        }
    }

    /// Its standing share, as last told, and whether that may be spent.
    pub(crate) fn saved(&self) -> Saved {
        self.saved
    }

    /// Both are others now. On disk when this returns: the ledger must not hear that a share has become smaller, nor a
    /// client get of it what no ledger hears of, before a restart would know it.
    pub(crate) fn keep(&mut self, now: Saved) {
        let before = std::mem::replace(&mut self.saved, now);
        let less = now.share < before.share || (now.spent && !before.spent);
        if now != before && !self.save() && less {
            // No share at all is better than one that others have.
            self.forget();
        }
    }

    /// False: it could not be saved.
    fn save(&mut self) -> bool {
        let text = json!({ "replica_id": self.replica_id, "share": self.saved.share, "spent": self.saved.spent });
        let Some(kept) = &mut self.kept else { return true };
        let saved = write(&kept.directory, &text.to_string());
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

fn read(path: &Path) -> Option<(String, Saved)> {
    let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let id = value["replica_id"].as_str().filter(|id| (1..=256).contains(&id.len()))?;
    let share = value["share"].as_f64().filter(|share| (0.0..=1.0).contains(share))?;
    // A file that does not say so may be of a version that did not know.
    Some((id.into(), Saved { share, spent: value["spent"].as_bool().unwrap_or(true) }))
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
        assert_eq!((first.replica_id(), first.saved()), ("made-up", Saved::default()));
        for saved in [Saved { share: 0.25, spent: false }, Saved { share: 0.25, spent: true }] {
            first.keep(saved);
            let again = Identity::restore(&directory, None, || "another".into());
            assert_eq!((again.replica_id(), again.saved()), ("made-up", saved));
        }
    }

    #[test]
    fn another_name_has_no_share() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        restored(&directory, Some("a")).keep(Saved { share: 0.5, spent: false });
        assert_eq!(restored(&directory, Some("a")).saved().share, 0.5);
        let other = restored(&directory, Some("b"));
        assert_eq!((other.replica_id(), other.saved()), ("b", Saved::default()));
    }

    #[test]
    fn who_has_anothers_name_takes_a_new_one_for_good() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        let mut copied = restored(&directory, None);
        copied.keep(Saved { share: 0.5, spent: false });
        copied.rename(0xab);
        let again = restored(&directory, None);
        assert_eq!((again.replica_id(), again.saved()), ("made-up-000000ab", Saved::default()));
    }

    #[test]
    fn what_cannot_be_read_counts_as_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        for text in ["", "{", r#"{"replica_id":"","share":0.5}"#, r#"{"replica_id":"a","share":2}"#] {
            fs::write(root.path().join(FILE), text).unwrap();
            let restored = restored(&directory, None);
            assert_eq!((restored.replica_id(), restored.saved()), ("made-up", Saved::default()));
        }
    }
}
