//! Waking requests that wait for tokens.

use std::collections::BTreeSet;

use tokio::sync::{Notify, futures::Notified};

/// How many there are: clients that share one wake each other in vain now and then, which costs a look.
const BELLS: usize = 1024;

/// One bell for many clients. Ringing allocates nothing and waits for nobody.
#[derive(Debug)]
pub(super) struct Bells(Box<[Notify]>);

impl Default for Bells {
    fn default() -> Self {
        Self((0..BELLS).map(|_| Notify::new()).collect())
    }
}

impl Bells {
    /// Resolves when the client's bell rings after it was first polled or enabled.
    pub(super) fn hear(&self, key: u64) -> Notified<'_> {
        self.0[index(key)].notified()
    }

    /// Wakes all who wait for these clients.
    pub(super) fn ring(&self, keys: impl IntoIterator<Item = u64>) {
        let indexes: BTreeSet<usize> = keys.into_iter().map(index).collect();
        indexes.into_iter().for_each(|index| self.0[index].notify_waiters());
    }
}

/// Bits of the key that are neither the lowest, which says whose limit it is, nor those that choose a mark.
fn index(key: u64) -> usize {
    (key >> 8) as usize % BELLS
}
