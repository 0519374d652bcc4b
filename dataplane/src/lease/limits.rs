//! Limits that change while tokens under the old ones are here.

use super::{Lease, message::LeaseClient};
use crate::limit::Limit;

/// A limit that changed. The buckets concerned have been settled under the old one.
#[derive(Clone, Debug)]
pub enum NewLimit {
    /// Of clients with limits of their own.
    Own(Vec<LeaseClient>),
    /// The default limit.
    Default {
        /// What it is now.
        limit: Limit,
        /// Configuration revision it is from.
        revision: u64,
    },
}

impl Lease {
    /// Goes by a changed limit from now on. Whole buckets say nothing of themselves: without this they would be settled
    /// by the old one until their next ask.
    pub fn retune(&mut self, new: &NewLimit) {
        match new {
            NewLimit::Own(clients) => clients.iter().for_each(|client| self.retune_one(*client)),
            NewLimit::Default { limit, revision } => {
                for record in self.records.values_mut().filter(|record| record.client.has_default_limit()) {
                    record.retune(LeaseClient { limit: *limit, revision: *revision, ..record.client });
                }
            }
        }
    }

    fn retune_one(&mut self, client: LeaseClient) {
        if let Some(record) = self.records.get_mut(&client.key) {
            record.retune(client);
        }
    }
}
