//! Who a ledger that starts anew must wait for, kept in the database.

use std::{collections::BTreeSet, pin::Pin, time::Duration};

use tokio::time::Instant;

use crate::store::{Store, StoreError};

/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

type Writing = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// What the database names, and what is on its way there. One write at a time, so that they happen in order.
pub(super) struct Memory {
    store: Store,
    epoch: u64,
    written: BTreeSet<String>,
    writing: Option<(BTreeSet<String>, Writing)>,
    retry_at: Option<Instant>,
}

/// How a write ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// [`Memory::named`] has changed.
    Yes,
    /// It will be tried again.
    NotYet,
    /// Another ledger has begun.
    Superseded,
}

impl Memory {
    pub(super) fn new(store: Store, epoch: u64, written: BTreeSet<String>) -> Self {
        Self { store, epoch, written, writing: None, retry_at: None }
    }

    /// Whom the database names.
    pub(super) fn named(&self) -> &BTreeSet<String> {
        &self.written
    }

    /// Begins to bring the database to `wanted`, unless it is there, or another write is under way.
    pub(super) fn want(&mut self, wanted: BTreeSet<String>) {
        let waits = self.retry_at.is_some_and(|at| Instant::now() < at);
        if self.writing.is_some() || waits || wanted == self.written {
            return;
        }
        let (store, epoch, names) = (self.store.clone(), self.epoch, wanted.clone());
        self.writing = Some((wanted, Box::pin(async move { store.remember(epoch, names).await })));
    }

    /// Ends when the write under way does; never if there is none.
    pub(super) async fn write(&mut self) -> Written {
        let Some((_, writing)) = &mut self.writing else { return std::future::pending().await };
        let done = writing.await;
        let Some((names, _)) = self.writing.take() else { return Written::NotYet };
        self.retry_at = None;
        match done {
            Ok(true) => {
                self.written = names;
                Written::Yes
            }
            Ok(false) => Written::Superseded,
            Err(error) => {
                tracing::warn!(%error, "the database does not remember a data plane yet");
                self.retry_at = Some(Instant::now() + RETRY);
                Written::NotYet
            }
        }
    }
}
