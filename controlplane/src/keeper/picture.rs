//! The ledger as people see it.

use crate::ledger::{Explanation, Ledger, MemberView};

/// How a ledger is, and how one client stands.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) epoch: u64,
    pub(crate) is_recovering: bool,
    /// Clients that are not free.
    pub(crate) accounts: usize,
    /// The part of every limit that is not set aside for data planes that were lost.
    pub(crate) factor: f64,
    /// By name.
    pub(crate) members: Vec<MemberView>,
    /// Of the client asked for; `None`: it is free.
    pub(crate) client: Option<Explanation>,
}

impl Picture {
    pub(super) fn of(ledger: &Ledger, client: Option<Explanation>) -> Self {
        let mut members = ledger.members();
        members.sort_by(|a, b| a.replica_id.cmp(&b.replica_id));
        Self {
            epoch: ledger.epoch(),
            is_recovering: ledger.is_recovering(),
            accounts: ledger.accounts(),
            factor: ledger.factor(),
            members,
            client,
        }
    }
}
