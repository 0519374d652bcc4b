//! Who this data plane is to the ledger, and which share of every limit is its own: the same after a restart.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{StateDir, create_private};
use crate::lease::Saved;

const FILE: &str = "lease.json";

/// Kept in the state directory, if there is one.
#[derive(Debug)]
pub(crate) struct Identity {
    replica_id: String,
    /// The name that was asked for, where another data plane had it.
    asked_for: Option<String>,
    names: watch::Sender<String>,
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
        Self::of(Found { replica_id, asked_for: None, saved: Saved::default() }, None)
    }

    fn of(found: Found, kept: Option<Kept>) -> Self {
        let Found { replica_id, asked_for, saved } = found;
        Self { names: watch::Sender::new(replica_id.clone()), replica_id, asked_for, saved, kept }
    }

    /// As kept in `directory`, if that is of this `replica_id`, or of one who asked for it and had to take another, or none
    /// is given; else a new one.
    pub(super) fn restore(directory: &StateDir, replica_id: Option<&str>, made_up: impl FnOnce() -> String) -> Self {
        let kept = Kept { directory: directory.path.clone(), _lock: directory.lock.clone(), complained: false };
        let found =
            read(&directory.path.join(FILE)).filter(|found| replica_id.is_none_or(|given| found.answers_to(given)));
        let is_new = found.is_none();
        let new = || replica_id.map_or_else(made_up, str::to_owned);
        let found = found.unwrap_or_else(|| Found { replica_id: new(), asked_for: None, saved: Saved::default() });
        let mut identity = Self::of(found, Some(kept));
        if is_new {
            identity.save();
        }
        identity
    }

    /// Names this data plane.
    pub(crate) fn replica_id(&self) -> &str {
        &self.replica_id
    }

    /// The name, and every other one that it takes.
    pub(crate) fn names(&self) -> watch::Receiver<String> {
        self.names.subscribe()
    }

    /// Another data plane has this name, and the share that came with it: from now on, also after a restart, this one has
    /// another, and none.
    pub(crate) fn rename(&mut self, random: u32) {
        let asked_for = self.asked_for.get_or_insert_with(|| self.replica_id.clone());
        // Names are at most 256 bytes long.
        let kept: String = asked_for.chars().take(32).collect();
        self.replica_id = format!("{kept}-{random:08x}");
        self.saved = Saved::default();
        if !self.save() {
            self.forget();
        }
        self.names.send_replace(self.replica_id.clone());
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
        let Saved { share, spent } = self.saved;
        let text =
            json!({ "replica_id": self.replica_id, "asked_for": self.asked_for, "share": share, "spent": spent });
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

/// What a file says.
struct Found {
    replica_id: String,
    asked_for: Option<String>,
    saved: Saved,
}

impl Found {
    fn answers_to(&self, given: &str) -> bool {
        self.replica_id == given || self.asked_for.as_deref() == Some(given)
    }
}

fn read(path: &Path) -> Option<Found> {
    let value: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let replica_id = value["replica_id"].as_str().filter(|id| (1..=256).contains(&id.len()))?.to_owned();
    let asked_for = value["asked_for"].as_str().map(str::to_owned);
    let share = value["share"].as_f64().filter(|share| (0.0..=1.0).contains(share))?;
    // A file that does not say so may be of a version that did not know.
    let saved = Saved { share, spent: value["spent"].as_bool().unwrap_or(true) };
    Some(Found { replica_id, asked_for, saved })
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
    fn so_does_who_was_given_one_and_gets_it_only_if_it_is_given_another() {
        let root = tempfile::tempdir().unwrap();
        let directory = StateDir::open(root.path()).unwrap();
        let mut twin = restored(&directory, Some("twin"));
        let names = twin.names();
        twin.rename(0xab);
        twin.rename(0xcd);
        assert_eq!(*names.borrow(), "twin-000000cd");
        twin.keep(Saved { share: 0.5, spent: false });
        assert_eq!(restored(&directory, Some("twin")).replica_id(), "twin-000000cd");
        assert_eq!(restored(&directory, Some("twin")).saved().share, 0.5);
        let other = restored(&directory, Some("other"));
        assert_eq!((other.replica_id(), other.saved()), ("other", Saved::default()));
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
