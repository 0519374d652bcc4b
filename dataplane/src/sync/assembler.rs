//! Puts chunks together into steps; answers each step exactly once.

use balancer_proto::v1 as wire;

use super::step::{Seal, Staging, Step, StepId};
use crate::{convert::Refusal, snapshot::Snapshot};

/// Where in a step the stream is.
#[derive(Default)]
pub(super) enum Assembler {
    /// Between two steps.
    #[default]
    Idle,
    /// Within a step that is good so far.
    Staging(Staging),
    /// Within a step that was refused: its remaining chunks mean nothing.
    Skipping(StepId),
}

/// What came of a chunk.
pub(super) enum Outcome {
    /// More chunks are needed, or this one means nothing.
    Nothing,
    /// The step is whole and good.
    Complete(Box<Step>),
    /// The step at this revision is refused.
    Refused(u64, Refusal),
}

impl Assembler {
    /// Takes the next chunk; `base` is what is held now.
    pub(super) fn receive(&mut self, chunk: wire::Update, base: Option<&Snapshot>) -> Outcome {
        let (id, last) = (StepId::of(&chunk), chunk.last_chunk);
        if matches!(self, Self::Skipping(refused) if *refused == id) {
            if last {
                *self = Self::Idle;
            }
            return Outcome::Nothing;
        }
        match self.advance(&id, chunk, base) {
            Ok(Some(step)) => Outcome::Complete(Box::new(step)),
            Ok(None) => Outcome::Nothing,
            Err(refusal) => {
                *self = if last { Self::Idle } else { Self::Skipping(id.clone()) };
                Outcome::Refused(id.revision(), refusal)
            }
        }
    }

    fn advance(&mut self, id: &StepId, chunk: wire::Update, base: Option<&Snapshot>) -> Result<Option<Step>, Refusal> {
        let mut staging = match std::mem::take(self) {
            Self::Staging(staging) if staging.id() == id => staging,
            Self::Staging(cut_off) => {
                let (had, came) = (cut_off.id().revision(), id.revision());
                return Err(Refusal(format!("a chunk of revision {came} in the middle of revision {had}")));
            }
            Self::Idle | Self::Skipping(_) => Staging::begin(&chunk, base)?,
        };
        let seal = Seal::of(&chunk);
        staging.add(chunk)?;
        if let Some(seal) = seal {
            return staging.finish(seal).map(Some);
        }
        *self = Self::Staging(staging);
        Ok(None)
    }
}
