//! Wire <-> domain. Nothing else but `grpc` and `hub` names generated types.

mod backend;
mod health_check;
mod lease;
mod ledger;
mod limit;
mod settings;

pub(crate) use backend::{backend, backend_change, backend_key, backend_spec, backend_status, health, pool};
pub(crate) use ledger::{applied, holder, ledger_status};
pub(crate) use limit::{client_id, limit, new_limit, partial_limit};
pub(crate) use settings::{limit_scope, settings};
