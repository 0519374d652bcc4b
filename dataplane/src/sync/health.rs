//! Backend health as the control plane last told it.

use std::collections::HashMap;

use balancer_proto::v1 as wire;

use crate::{convert, pool::Health};

/// Health by backend id. Kept beside the configuration, since either may change or arrive without the other.
#[derive(Debug, Default)]
pub(super) struct HealthBook(HashMap<u64, Health>);

impl HealthBook {
    /// Takes in what was heard; a full update forgets everything else.
    pub(super) fn heard(&mut self, update: &wire::HealthUpdate) {
        if update.full {
            self.0.clear();
        }
        let heard = update.backends.iter().map(|backend| (backend.backend_id, convert::health(backend.health())));
        self.0.extend(heard);
    }

    /// Nobody checks any more: what was true need not be.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn of(&self, backend_id: u64) -> Health {
        self.0.get(&backend_id).copied().unwrap_or(Health::Unknown)
    }
}
