//! One step of configuration: staged chunk by chunk beside what is served, checked, and only then handed on.

use balancer_proto::v1 as wire;

use crate::{
    convert::{self, BackendSpec, Refusal, Settings},
    limit::Limit,
    limits::Limits,
    snapshot::Snapshot,
};

/// What all chunks of one step have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepId {
    store_id: String,
    full: bool,
    base_revision: u64,
    revision: u64,
}

impl StepId {
    pub(crate) fn of(chunk: &wire::Update) -> Self {
        Self {
            store_id: chunk.store_id.clone(),
            full: chunk.full,
            base_revision: chunk.base_revision,
            revision: chunk.revision,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }
}

/// What the last chunk of a step says of the whole.
#[derive(Clone, Copy)]
pub(crate) struct Seal {
    fingerprint: u64,
    config_tag: u64,
}

impl Seal {
    /// `None`: more chunks follow.
    pub(crate) fn of(chunk: &wire::Update) -> Option<Self> {
        chunk.last_chunk.then_some(Self { fingerprint: chunk.fingerprint, config_tag: chunk.config_tag })
    }
}

/// A step that was received whole and found good.
pub(crate) struct Step {
    pub(crate) store_id: String,
    pub(crate) revision: u64,
    /// Identity of pool and settings after the step; 0: unknown.
    pub(crate) config_tag: u64,
    /// Whether it replaces everything.
    pub(crate) full: bool,
    /// All limits as they are after the step.
    pub(crate) limits: Limits,
    /// Limits that a delta created or changed; empty for a full step, which does not know.
    pub(crate) changed: Vec<Change>,
    /// `None`: unchanged. Always there in a full step.
    pub(crate) backends: Option<Vec<BackendSpec>>,
    /// `None`: unchanged. Always there in a full step.
    pub(crate) settings: Option<Settings>,
}

/// A limit that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) client_id: String,
    /// `None`: the client had none.
    pub(crate) before: Option<Limit>,
    pub(crate) after: Limit,
}

/// A step of which some chunks have come.
pub(crate) struct Staging {
    id: StepId,
    limits: Limits,
    changed: Vec<Change>,
    backends: Option<Vec<BackendSpec>>,
    settings: Option<Settings>,
}

impl Staging {
    /// Begins the step that `first` is a chunk of, on top of what is held. Adds nothing yet.
    pub(crate) fn begin(first: &wire::Update, base: Option<&Snapshot>) -> Result<Self, Refusal> {
        let limits = if first.full { whole(first)? } else { on_top_of(first, base)? };
        Ok(Self { id: StepId::of(first), limits, changed: Vec::new(), backends: None, settings: None })
    }

    pub(crate) fn id(&self) -> &StepId {
        &self.id
    }

    /// Adds one chunk.
    pub(crate) fn add(&mut self, chunk: wire::Update) -> Result<(), Refusal> {
        if let Some(pool) = &chunk.pool {
            self.backends = Some(convert::backends(pool)?);
        }
        if let Some(settings) = &chunk.settings {
            self.settings = Some(convert::settings(settings)?);
        }
        for client_id in &chunk.deleted_limits {
            self.limits.remove(client_id);
        }
        chunk.upserted_limits.into_iter().try_for_each(|limit| self.upsert(limit))
    }

    fn upsert(&mut self, wire: wire::Limit) -> Result<(), Refusal> {
        let after = convert::limit(&wire)?;
        let before = self.limits.insert(&wire.client_id, after);
        if !self.id.full && before != Some(after) {
            self.changed.push(Change { client_id: wire.client_id, before, after });
        }
        Ok(())
    }

    /// Ends the step with what its last chunk says, if its limits are what the sender says they are.
    pub(crate) fn finish(self, Seal { fingerprint, config_tag }: Seal) -> Result<Step, Refusal> {
        let found = self.limits.fingerprint().value();
        if found != fingerprint {
            let limits = self.limits.len();
            let told = format!("fingerprint {found:016x} of {limits} limits is not the expected {fingerprint:016x}");
            return Err(Refusal(told));
        }
        Ok(Step {
            store_id: self.id.store_id,
            revision: self.id.revision,
            config_tag,
            full: self.id.full,
            limits: self.limits,
            changed: self.changed,
            backends: self.backends,
            settings: self.settings,
        })
    }
}

fn whole(first: &wire::Update) -> Result<Limits, Refusal> {
    match (first.store_id.is_empty(), &first.pool, &first.settings) {
        (true, ..) => Err(Refusal("the store_id is empty".into())),
        (_, None, _) => Err(Refusal("the first chunk of a full step lacks the pool".into())),
        (_, _, None) => Err(Refusal("the first chunk of a full step lacks the settings".into())),
        _ => Ok(Limits::default()),
    }
}

fn on_top_of(first: &wire::Update, base: Option<&Snapshot>) -> Result<Limits, Refusal> {
    let Some(base) = base else { return Err(Refusal("a change of something, but nothing is held".into())) };
    if base.store_id != first.store_id || base.revision != first.base_revision {
        return Err(Refusal(format!(
            "a change of revision {} of store {:?}, but revision {} of store {:?} is held",
            first.base_revision, first.store_id, base.revision, base.store_id
        )));
    }
    if first.revision < first.base_revision {
        return Err(Refusal(format!("from revision {} back to {}", first.base_revision, first.revision)));
    }
    Ok(base.limits.clone())
}
