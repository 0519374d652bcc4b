//! What one request needs to know, immutable and behind one pointer.

use crate::{
    backend_tls::BackendTls,
    client::ClientRules,
    clock::Nanos,
    limit::{Limit, LimitScope},
    limits::Limits,
    pool::Pool,
};

/// The configuration at one revision, with backend health as last heard. Never changed: a successor replaces it.
#[derive(Clone)]
pub struct Snapshot {
    /// Identity of the database contents it comes from.
    pub store_id: String,
    /// Configuration revision.
    pub revision: u64,
    /// The control plane's name for this pool and these settings, told again when a stream begins; 0: none.
    pub config_tag: u64,
    /// Limits of named clients.
    pub limits: Limits,
    /// What holds for a client without a limit of its own; `None`: unlimited.
    pub default_limit: Option<Limit>,
    /// For whom limits count.
    pub limit_scope: LimitScope,
    /// How a request's client is found.
    pub client_rules: ClientRules,
    /// How backends with `https://` are spoken to.
    pub backend_tls: BackendTls,
    /// Where requests go, and how one is chosen.
    pub pool: Pool,
    /// When this revision was applied, or loaded from disk.
    pub applied_at: Nanos,
}
