//! What every data plane should have: the whole configuration in memory, kept up to date from the store, with each step
//! encoded once for all streams.
//!
//! While the database is gone the last image stays: streams go on, and new data planes get it.

mod follow;
mod frames;
mod image;
mod ring;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

pub(crate) use follow::follow;
pub(crate) use frames::{Frame, FullFrames, delta, encode};
pub(crate) use image::{Fingerprint, Image};
pub(crate) use ring::Step;

use self::{frames::delta_frames, ring::Ring};
use crate::store::{Changes, Loaded};

/// The current image and the steps that led to it.
pub(crate) struct Hub {
    image: watch::Sender<Arc<Image>>,
    ring: Mutex<Ring>,
    /// Counts answers of the store, so that one can wait for an answer newer than a question.
    refreshed: watch::Sender<u64>,
    refresh: Notify,
}

impl Hub {
    /// Starts from what the store holds.
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self {
            image: watch::Sender::new(Arc::new(Image::new(loaded))),
            ring: Mutex::new(Ring::default()),
            refreshed: watch::Sender::new(0),
            refresh: Notify::new(),
        }
    }

    /// The configuration as it is now.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// Wakes whenever the image changes.
    pub(crate) fn changed(&self) -> watch::Receiver<Arc<Image>> {
        self.image.subscribe()
    }

    /// The step that begins at exactly this revision with exactly these limits, if it is still remembered.
    pub(crate) fn step_after(&self, revision: u64, fingerprint: Fingerprint) -> Option<Arc<Step>> {
        self.ring().after(revision, fingerprint)
    }

    /// Asks the store for news.
    pub(crate) fn ask(&self) {
        self.refresh.notify_one();
    }

    /// Wakes whenever the store has answered. The first answer after a question may be one to an older question.
    pub(crate) fn answers(&self) -> watch::Receiver<u64> {
        self.refreshed.subscribe()
    }

    fn apply(&self, changes: Changes) {
        let before = self.image();
        let after = before.apply(&changes);
        let frames = delta_frames(&before, &after, &touched(&changes));
        self.ring().push(Step::new(&before, &after, frames));
        // Only the follower replaces the image, so nothing can have come between the read and this.
        self.image.send_replace(Arc::new(after));
    }

    fn replace(&self, loaded: Loaded) {
        self.ring().clear();
        self.image.send_replace(Arc::new(Image::new(loaded)));
    }

    // A poisoned ring is whole: every method leaves it consistent before anything that can panic.
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// client_ids that a set of changes names.
pub(crate) fn touched(changes: &Changes) -> BTreeSet<Box<str>> {
    let upserted = changes.upserted.iter().map(|(id, _)| id.as_str().into());
    upserted.chain(changes.deleted.iter().map(|id| id.as_str().into())).collect()
}

#[cfg(test)]
mod tests;
