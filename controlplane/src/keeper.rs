//! Keeps the ledger: one task owns it, and everybody else sends that task commands.
//!
//! A task and not a lock, because what many data planes say in the same moment is then processed together, and answered
//! once. Nothing here waits for the database: what must outlive the ledger is written beside.

mod desk;
mod joining;
mod kept;
mod memory;
mod picture;
mod seat;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{picture::Picture, seat::Seat};
use crate::{
    authority::Authority,
    ledger::{
        MemberId,
        message::{Join, Request},
    },
    metrics::Metrics,
    store::Store,
};

/// Commands that may wait; more make their senders wait.
const QUEUE: usize = 1024;

/// Reaches the task. Clones reach the same.
#[derive(Clone)]
pub(crate) struct Keeper(mpsc::Sender<Command>);

/// The other end of a [`Keeper`].
pub(crate) struct Commands(mpsc::Receiver<Command>);

/// What the task can do.
enum Command {
    /// A data plane begins a stream.
    Join(Applicant),
    /// It said something.
    Receive { ticket: Ticket, request: Request },
    /// Its stream ended.
    Gone { ticket: Ticket },
    /// Somebody wants to know how things are, and how one client stands.
    Show { key: Option<u64>, answer: oneshot::Sender<Picture> },
}

/// A data plane that begins a stream, until it is known whether it can.
struct Applicant {
    join: Join,
    seat: Seat,
    answer: oneshot::Sender<Result<Ticket, Taken>>,
}

/// Names a data plane and its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    member: MemberId,
    stream: u64,
}

/// Another process has a stream under the same replica_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

impl Keeper {
    /// A keeper and what its task needs.
    pub(crate) fn new() -> (Self, Commands) {
        let (send, receive) = mpsc::channel(QUEUE);
        (Self(send), Commands(receive))
    }

    /// Begins a data plane's stream; `None`: there is no ledger here. Where another process has one under the same name, that
    /// takes until it has said something, or its lease has ended.
    pub(crate) async fn join(&self, join: Join, seat: Seat) -> Option<Result<Ticket, Taken>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Command::Join(Applicant { join, seat, answer })).await.ok()?;
        answered.await.ok()
    }

    /// Passes on what a data plane said.
    pub(crate) async fn receive(&self, ticket: Ticket, request: Request) {
        // If the task is gone, so is the seat, which ends the stream.
        let _ = self.0.send(Command::Receive { ticket, request }).await;
    }

    /// A data plane's stream ended.
    pub(crate) async fn gone(&self, ticket: Ticket) {
        let _ = self.0.send(Command::Gone { ticket }).await;
    }

    /// How the ledger is, and how the client with this key stands; `None`: there is no ledger here.
    pub(crate) async fn show(&self, key: Option<u64>) -> Option<Picture> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Command::Show { key, answer }).await.ok()?;
        answered.await.ok()
    }
}

/// Keeps a ledger whenever this control plane is the authority, until `shutdown`.
pub(crate) async fn run(
    commands: Commands,
    authority: Arc<Authority>,
    store: Store,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let desk = desk::Desk::new(commands.0, &authority, store, metrics);
    shutdown.run_until_cancelled(desk.serve()).await;
}
