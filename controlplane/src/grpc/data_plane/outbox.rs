//! What a stream has still to send.

use std::{collections::VecDeque, sync::Arc};

use crate::hub::{Frame, FullFrames, Step};

/// Small messages first, then the step that is under way. A step is never interrupted by another step.
#[derive(Default)]
pub(super) struct Outbox {
    messages: VecDeque<Frame>,
    step: Option<Pending>,
}

enum Pending {
    Full(Box<FullFrames>),
    Shared { step: Arc<Step>, next: usize },
}

impl Outbox {
    pub(super) fn message(&mut self, frame: Frame) {
        self.messages.push_back(frame);
    }

    pub(super) fn full(&mut self, frames: FullFrames) {
        self.step = Some(Pending::Full(Box::new(frames)));
    }

    pub(super) fn shared(&mut self, step: Arc<Step>) {
        self.step = Some(Pending::Shared { step, next: 0 });
    }

    /// Forgets the rest of a step that the data plane has refused.
    pub(super) fn abandon_step(&mut self) {
        self.step = None;
    }

    /// Whether a step is under way.
    pub(super) fn in_step(&self) -> bool {
        self.step.is_some()
    }

    /// Whether [`next`](Self::next) may have something.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.step.is_none()
    }

    /// The next frame; `None` may also mean that the step has just ended.
    pub(super) fn next(&mut self) -> Option<Frame> {
        if let Some(message) = self.messages.pop_front() {
            return Some(message);
        }
        let frame = match self.step.as_mut()? {
            Pending::Full(frames) => frames.next(),
            Pending::Shared { step, next } => {
                *next += 1;
                step.frames.get(*next - 1).cloned()
            }
        };
        if frame.is_none() {
            self.step = None;
        }
        frame
    }
}
