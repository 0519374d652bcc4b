//! What the request path and the lease's thread share.

use std::{
    cell::Cell,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified, mpsc, watch},
    time::timeout,
};

use super::bells::Bells;
use crate::{
    clock::{self, Nanos},
    lease::{MarkBits, NewLimit, Signal, message::LeaseClient},
    limit::{Limit, LimitScope},
    limiter::{BucketTable, LimitKind, Need, Taken},
};

/// For how long a data plane without a share of limits is not ready for that reason.
const SETTLE_WITHIN: Nanos = Nanos(3 * Nanos::SECOND.0);

/// A client whose limit counts for all data planes together.
#[derive(Clone, Copy, Debug)]
pub struct SharedClient {
    /// Key of its bucket in this process.
    pub bucket: u64,
    /// Whose limit it is.
    pub kind: LimitKind,
    /// The limit.
    pub limit: Limit,
    /// Key by which data planes and the ledger speak of its bucket.
    pub lease_key: u64,
    /// Configuration revision the limit is from.
    pub revision: u64,
}

/// What the one who has the lease is told.
#[derive(Debug)]
pub(super) enum Word {
    /// A request thread wants tokens.
    Wanted(Signal),
    /// A limit changed.
    Retuned(NewLimit),
}

/// Where the one who has the lease hears it.
pub(super) type Inbox = mpsc::UnboundedReceiver<Word>;

/// Where request threads take shared tokens, and ask for more.
#[derive(Debug)]
pub struct LeaseDesk {
    words: mpsc::UnboundedSender<Word>,
    inbox: Mutex<Option<Inbox>>,
    marks: Arc<MarkBits>,
    bells: Bells,
    /// Held (with others) by a request thread from before it asks whether a client is free until it has told what it did
    /// about that. Who acknowledges to the ledger what is free takes it (alone) before: then there is nothing untold that
    /// was done without the knowledge.
    telling: RwLock<()>,
    scope: watch::Sender<LimitScope>,
    settled: AtomicBool,
    settled_by: AtomicU64,
    settling: Notify,
}

impl Default for LeaseDesk {
    fn default() -> Self {
        let (words, inbox) = mpsc::unbounded_channel();
        Self {
            words,
            inbox: Mutex::new(Some(inbox)),
            marks: Arc::default(),
            bells: Bells::default(),
            telling: RwLock::default(),
            scope: watch::Sender::new(LimitScope::Local),
            settled: AtomicBool::new(false),
            settled_by: AtomicU64::new(0),
            settling: Notify::new(),
        }
    }
}

impl LeaseDesk {
    /// Takes one token from a client's shared bucket, and says what the lease must hear. Locks and allocates only for a
    /// client that is new here.
    pub fn take(&self, buckets: &BucketTable, client: &SharedClient, now: Nanos) -> Taken {
        let telling = Cell::new(None);
        let is_marked = || {
            telling.set(Some(self.telling.read().unwrap_or_else(PoisonError::into_inner)));
            self.marks.contains(client.lease_key)
        };
        let taken = buckets.take_shared(client.bucket, &client.limit, client.kind, now, is_marked);
        match taken.need {
            Need::First(tokens) => self.signal(client, Some(tokens)),
            Need::Ask | Need::AskAndWait => self.signal(client, None),
            Need::Nothing | Need::Wait => {}
        }
        drop(telling);
        taken
    }

    fn signal(&self, client: &SharedClient, first: Option<f64>) {
        let SharedClient { bucket, kind, limit, lease_key: key, revision } = *client;
        let signal = Signal { client: LeaseClient { key, limit, revision }, bucket, kind, first };
        // Nobody hears it any more only while the process ends.
        let _ = self.words.send(Word::Wanted(signal));
    }

    /// A limit changed, and buckets have been settled under the old one. To be said before the new one is published.
    pub(crate) fn retuned(&self, new: NewLimit) {
        // Else nobody has a lease, and nobody would hear it.
        if *self.scope.borrow() == LimitScope::Global {
            let _ = self.words.send(Word::Retuned(new));
        }
    }

    /// Resolves when there is news of a client, after it was first polled or enabled.
    pub(crate) fn news_of(&self, client: &SharedClient) -> Notified<'_> {
        self.bells.hear(client.lease_key)
    }

    /// For whom limits count from now on. To be said before a snapshot with that scope is published.
    pub(crate) fn set_scope(&self, scope: LimitScope) {
        self.scope.send_if_modified(|before| {
            let changed = *before != scope;
            if changed {
                self.settled_by.store(clock::now().plus(SETTLE_WITHIN.0).0, Relaxed);
                *before = scope;
            }
            changed
        });
    }

    /// Whether this data plane can do without the ledger from now on: it has a share of every limit, or it is known that
    /// there is none to be had.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Relaxed)
            || clock::now().0 >= self.settled_by.load(Relaxed)
            || *self.scope.borrow() == LimitScope::Local
    }

    /// Resolves when that is so, after the time that a data plane may be not ready for that reason at the latest.
    pub(crate) async fn await_settled(&self) {
        let mut told = pin!(self.settling.notified());
        // Before the look: what comes after it is heard.
        told.as_mut().enable();
        if !self.is_settled() {
            let left = Nanos(self.settled_by.load(Relaxed)).since(clock::now());
            // If it does not come in time, it need not be waited for any more.
            let _ = timeout(Duration::from_nanos(left), told).await;
        }
    }

    pub(super) fn settle(&self) {
        if !self.settled.swap(true, Relaxed) {
            self.settling.notify_waiters();
        }
    }

    pub(super) fn scope(&self) -> watch::Receiver<LimitScope> {
        self.scope.subscribe()
    }

    pub(super) fn marks(&self) -> Arc<MarkBits> {
        self.marks.clone()
    }

    /// What is told; `None`: somebody hears it.
    pub(super) fn take_inbox(&self) -> Option<Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until whoever has acted on older marks and terms has told so.
    pub(super) fn await_telling(&self) {
        drop(self.telling.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn ring(&self, keys: impl IntoIterator<Item = u64>) {
        self.bells.ring(keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(lease_key: u64) -> SharedClient {
        let limit = Limit::new(3.0, 0.0).unwrap();
        SharedClient { bucket: lease_key, kind: LimitKind::Client, limit, lease_key, revision: 1 }
    }

    #[test]
    fn each_new_client_is_told_of_once() {
        let (desk, buckets) = (LeaseDesk::default(), BucketTable::new(64));
        let mut inbox = desk.take_inbox().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..16).for_each(|key| _ = desk.take(&buckets, &client(key), Nanos(8))));
            }
        });
        desk.await_telling();
        let key = |word| match word {
            Word::Wanted(signal) => signal.client.key,
            Word::Retuned(_) => unreachable!("no limit has changed"),
        };
        let mut told: Vec<_> = std::iter::from_fn(|| inbox.try_recv().ok()).map(key).collect();
        told.sort_unstable();
        assert_eq!(told, (0..16).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_waits_for_a_client_hears_of_it() {
        let desk = LeaseDesk::default();
        let client = client(1 << 20);
        let mut news = std::pin::pin!(desk.news_of(&client));
        assert!(!news.as_mut().enable());
        desk.ring([client.lease_key]);
        news.await;
    }

    #[tokio::test]
    async fn readiness_waits_for_a_share_only_where_there_must_be_one() {
        let desk = LeaseDesk::default();
        assert!(desk.is_settled());
        desk.set_scope(LimitScope::Global);
        assert!(!desk.is_settled());
        let mut waiting = pin!(desk.await_settled());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        desk.settle();
        waiting.await;
        assert!(desk.is_settled());
    }
}
