//! What every data plane should have: the whole configuration in memory, kept up to date from the store, with each step
//! encoded once for all streams.
//!
//! While the database is gone the last image stays: streams go on, and new data planes get it.

mod catch_up;
mod follow;
mod frame;
mod frames;
mod full;
mod held;
mod image;
mod ring;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

pub(crate) use catch_up::CatchUp;
pub(crate) use follow::follow;
pub(crate) use frame::{Frame, encode};
pub(crate) use full::FullFrames;
pub(crate) use held::Held;
pub(crate) use image::{Fingerprint, Image};
pub(crate) use ring::Step;

use self::{catch_up::CatchUps, frames::delta_frames, full::Fulls, ring::Ring};
use crate::store::{Changes, Loaded, Store};

/// The current image and the steps that led to it.
pub(crate) struct Hub {
    image: watch::Sender<Arc<Image>>,
    ring: Mutex<Ring>,
    catch_ups: CatchUps,
    fulls: Fulls,
    /// Why the store's changes cannot be read; `None` while they can.
    fault: watch::Sender<Option<String>>,
    /// Counts answers of the store, so that one can wait for an answer newer than a question.
    refreshed: watch::Sender<u64>,
    refresh: Notify,
}

impl Hub {
    /// Starts from what the store holds.
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self {
            image: watch::Sender::new(Arc::new(Image::new(loaded, 0))),
            ring: Mutex::new(Ring::default()),
            catch_ups: CatchUps::default(),
            fulls: Fulls::default(),
            fault: watch::Sender::new(None),
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

    /// The step that begins at exactly what is held, if it is still remembered.
    pub(crate) fn step_after(&self, held: &Held) -> Option<Arc<Step>> {
        self.ring().after(held)
    }

    /// A step from what is held to the current image, with the help of the store.
    pub(crate) fn catch_up(&self, store: &Store, held: &Held) -> CatchUp {
        self.catch_ups.step(store, held, self.image())
    }

    /// Everything in the image.
    pub(crate) fn everything(&self, image: Arc<Image>) -> FullFrames {
        self.fulls.frames(image)
    }

    /// Why changes do not arrive here; `None` while they do.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
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
        let generation = self.image().generation + 1;
        self.image.send_replace(Arc::new(Image::new(loaded, generation)));
    }

    // A poisoned ring is whole: every method leaves it consistent before anything that can panic.
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// client_ids that a set of changes names.
fn touched(changes: &Changes) -> BTreeSet<Box<str>> {
    let upserted = changes.upserted.iter().map(|(id, _)| id.as_str().into());
    upserted.chain(changes.deleted.iter().map(|id| id.as_str().into())).collect()
}

#[cfg(test)]
mod tests;
