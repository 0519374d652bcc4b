//! What the store answers besides domain types.

use crate::domain::{Backend, ClientId, Limit, Settings};

/// Everything, at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Identity of the database, made once. Revisions of different databases cannot be compared.
    pub store_id: String,
    /// Revision of the newest change.
    pub revision: u64,
    /// What tells this revision from the same number in another past of the database, as before a backup was restored.
    pub mark: i64,
    /// All limits, by client_id bytewise.
    pub limits: Vec<(ClientId, Limit)>,
    /// All backends, by id.
    pub backends: Vec<Backend>,
    /// Settings; `None` before the first [`reconcile`](super::Store::reconcile).
    pub settings: Option<Settings>,
}

/// What changed after a revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// Revision of the newest change.
    pub revision: u64,
    /// As [`Loaded::mark`].
    pub mark: i64,
    /// Limits created or changed.
    pub upserted: Vec<(ClientId, Limit)>,
    /// Clients whose limit was deleted and not created again.
    pub deleted: Vec<ClientId>,
    /// All backends if any was added, changed or removed.
    pub backends: Option<Vec<Backend>>,
    /// Settings if they changed.
    pub settings: Option<Settings>,
}

/// Where a revision comes from: the number alone says little once a database was replaced or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// As [`Loaded::store_id`].
    pub store_id: String,
    /// As [`Loaded::mark`].
    pub mark: i64,
}

/// Whose limit changed after a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Revision of the newest change.
    pub revision: u64,
    /// Clients whose limit was created, changed or deleted, in no order.
    pub client_ids: Vec<String>,
}

/// What [`reconcile`](super::Store::reconcile) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Revision of the newest change, be it this one or an older one.
    pub revision: u64,
    /// Backends added.
    pub added: usize,
    /// Backends whose definition changed, or that were adopted from the API.
    pub changed: usize,
    /// Backends removed.
    pub removed: usize,
    /// Whether the settings changed.
    pub settings_changed: bool,
}
