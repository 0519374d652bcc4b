//! The newest steps, so that a data plane that was away for a moment gets only what it missed.

use std::{collections::VecDeque, sync::Arc};

use super::{Frame, Held, Image};

/// Steps remembered.
const MAX_STEPS: usize = 1_000;
/// Encoded bytes remembered; a large import must not fill the memory a thousand times over.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A change of the configuration, encoded.
pub(crate) struct Step {
    pub(super) from: Held,
    pub(crate) to: Held,
    pub(crate) frames: Vec<Frame>,
}

impl Step {
    pub(super) fn new(before: &Image, after: &Image, frames: Vec<Frame>) -> Self {
        Self { from: before.held(), to: after.held(), frames }
    }

    fn bytes(&self) -> usize {
        self.frames.iter().map(Frame::len).sum()
    }
}

/// Consecutive steps, oldest first: each begins where the one before ends.
#[derive(Default)]
pub(super) struct Ring {
    steps: VecDeque<Arc<Step>>,
    bytes: usize,
}

impl Ring {
    pub(super) fn push(&mut self, step: Step) {
        self.bytes += step.bytes();
        self.steps.push_back(Arc::new(step));
        while self.steps.len() > MAX_STEPS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.steps.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn after(&self, held: &Held) -> Option<Arc<Step>> {
        let at = self.steps.binary_search_by_key(&held.revision, |step| step.from.revision).ok()?;
        let step = &self.steps[at];
        (step.from == *held).then(|| step.clone())
    }
}
