//! The lease and those around it: signals in, bells out, time, metrics.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::desk::{Inbox, Word};
use crate::{
    clock::{self, Nanos},
    lease::{
        Fault, Lease, Saved,
        message::{Request, Response},
    },
    limiter::BucketTable,
    shared::Shared,
    state_file::Identity,
};

/// Time between two looks at what is due: at least, and at most.
const LOOKS_APART_NS: (u64, u64) = (5_000_000, 50_000_000);
/// Words taken in at once.
const BATCH: usize = 1024;
/// How often figures that take a walk over all clients are counted.
const COUNT_EVERY_NS: u64 = 1_000_000_000;

/// Has the lease while limits count for all data planes together.
pub(super) struct Host<'a> {
    shared: &'a Arc<Shared>,
    inbox: &'a mut Inbox,
    identity: &'a mut Identity,
    lease: Lease,
    batch: Vec<Word>,
    looked: Nanos,
    counted: Nanos,
}

impl<'a> Host<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, inbox: &'a mut Inbox, identity: &'a mut Identity) -> Self {
        let now = clock::now();
        let marks = shared.leases.marks();
        let (id, incarnation) = (identity.replica_id().to_owned(), fastrand::u64(1..));
        let lease = Lease::new(id, incarnation, identity.saved(), marks, &shared.buckets, now);
        Self { shared, inbox, identity, lease, batch: Vec::with_capacity(BATCH), looked: now, counted: Nanos(0) }
    }

    pub(super) fn shared(&self) -> &Shared {
        self.shared
    }

    fn table(&self) -> &'a BucketTable {
        &self.shared.buckets
    }

    /// Does what is to be done without a stream, until `future` is ready.
    pub(super) async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                ready = &mut future => return ready,
                // Nobody is spoken to who could be silent.
                _ = self.work() => {}
            }
        }
    }

    /// Waits for signals or for the time to look, and does what follows. Can be cancelled.
    pub(super) async fn work(&mut self) -> Result<(), Fault> {
        let pause = Duration::from_nanos(self.look_at().since(clock::now()));
        tokio::select! {
            _ = self.inbox.recv_many(&mut self.batch, BATCH) => self.hear_batch(),
            () = sleep(pause) => {}
        }
        self.look()
    }

    fn look_at(&self) -> Nanos {
        let (least, most) = LOOKS_APART_NS;
        let latest = self.looked.plus(most);
        self.lease.due_at().unwrap_or(latest).clamp(self.looked.plus(least), latest)
    }

    fn look(&mut self) -> Result<(), Fault> {
        let now = clock::now();
        if now < self.look_at() {
            return Ok(());
        }
        let metrics = &self.shared.metrics.lease;
        if !self.table().terms().are_valid(now) {
            metrics.alone_for(now.since(self.looked));
        }
        self.looked = now;
        let in_vain = self.lease.tick(self.table(), now);
        if !self.table().terms().are_valid(now) && self.table().terms().share > 0.0 {
            self.may_spend();
        }
        if now.since(self.counted) >= COUNT_EVERY_NS {
            self.counted = now;
            metrics.counted(self.lease.whole());
        }
        self.publish();
        self.shared.leases.ring(in_vain?);
        Ok(())
    }

    fn publish(&self) {
        self.shared.metrics.lease.publish(self.lease.tallies(), self.lease.clients(), self.lease.epoch());
    }

    fn hear_batch(&mut self) {
        let (lease, table, now) = (&mut self.lease, &self.shared.buckets, clock::now());
        let mut in_vain = Vec::new();
        for word in self.batch.drain(..) {
            match word {
                Word::Wanted(signal) if lease.heard(&signal, table, now) => in_vain.push(signal.client.key),
                Word::Wanted(_) => {}
                Word::Retuned(new) => lease.retune(&new),
            }
        }
        if !in_vain.is_empty() {
            self.may_spend();
        }
        self.shared.leases.ring(in_vain);
    }

    /// Hears everything that request threads have done so far.
    fn hear_all(&mut self) {
        self.shared.leases.await_telling();
        while let Ok(signal) = self.inbox.try_recv() {
            self.batch.push(signal);
        }
        self.hear_batch();
    }

    /// The next request, if there is something to say. What request threads did before is told before what is
    /// acknowledged.
    pub(super) fn request(&mut self) -> Option<Request> {
        self.hear_all();
        self.lease.request(self.table(), clock::now())
    }

    /// A stream begins; what is to be said first on it.
    pub(super) fn begin_stream(&mut self) -> Request {
        self.hear_all();
        self.lease.begin_stream(self.table(), clock::now())
    }

    /// The ledger has spoken.
    pub(super) fn receive(&mut self, response: Response) -> Result<(), Fault> {
        let welcome = response.welcome;
        let answered = self.lease.receive(response, self.table(), clock::now())?;
        self.shared.leases.ring(answered);
        if let Some(welcome) = welcome {
            tracing::info!(epoch = welcome.epoch, "limits are shared with the other data planes");
        }
        let share = self.table().terms().share;
        self.identity.keep(Saved { share, spent: false });
        if share > 0.0 {
            self.shared.leases.settle();
        }
        self.publish();
        Ok(())
    }

    /// Whether the stream is one that the ledger goes along with.
    pub(super) fn is_welcome(&self) -> bool {
        self.lease.is_welcome()
    }

    /// Clients may get what no ledger hears of, if there are any.
    fn may_spend(&mut self) {
        let saved = self.identity.saved();
        if saved.share > 0.0 && self.lease.clients() > 0 {
            self.identity.keep(Saved { spent: true, ..saved });
        }
    }

    /// The stream ended. `told_all`: in order, and everything had been given back.
    pub(super) fn disconnected(&mut self, told_all: bool) {
        if !told_all {
            self.may_spend();
        }
        self.lease.disconnected(self.table(), clock::now());
    }

    /// Another data plane has this one's name: takes a new one.
    pub(super) fn rename(&mut self) {
        let before = self.identity.replica_id().to_owned();
        self.identity.rename(fastrand::u32(..));
        let now = self.identity.replica_id();
        self.lease.rename(now.to_owned(), &self.shared.buckets);
        tracing::warn!(
            before,
            now,
            "another data plane shares limits under this replica_id, so this one takes a new one: was the state directory \
             copied, or one --replica-id given to both? Each data plane needs its own"
        );
    }

    /// No control plane keeps a ledger.
    pub(super) fn alone(&mut self) {
        self.may_spend();
        self.lease.alone(self.table());
        self.shared.leases.settle();
    }

    /// Gives everything back, which the next requests say.
    pub(super) fn give_back(&mut self) {
        self.hear_all();
        self.lease.give_back_all(self.table(), clock::now());
    }

    /// For how long it is worth saying something to a silent ledger.
    pub(super) fn written_off_after(&self) -> Duration {
        self.lease.written_off_after()
    }

    /// What is to be said at the end.
    pub(super) fn leave(&mut self) -> Vec<Request> {
        self.hear_all();
        self.lease.leave(self.table(), clock::now())
    }

    /// Limits count for this data plane alone from now on.
    pub(super) fn abandon(self) {
        let table = self.table();
        self.shared.metrics.lease.forget();
        self.lease.abandon(table);
    }
}
