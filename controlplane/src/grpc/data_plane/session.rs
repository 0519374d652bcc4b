//! One data plane's stream.

use std::{future, sync::Arc};

use balancer_proto::v1::{self, sync_request::Message as Up, sync_response::Message as Down};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};

use super::{
    greeting::{greet, hello},
    outbox::Outbox,
    position::{Position, Refusals},
    told::Told,
};
use crate::{
    VERSION,
    health::States,
    hub::{CatchUp, Frame, Image, Step, encode},
    plane::Plane,
    replicas::Membership,
};

/// A stream is given up after this many heartbeats that did not come.
const MISSED: u32 = 3;

/// Serves a stream until either side ends it.
pub(super) async fn run(plane: Plane, mut up: Streaming<v1::SyncRequest>, down: mpsc::Sender<Result<Frame, Status>>) {
    let give_up = plane.heartbeat * MISSED;
    let end = match hello(&mut up, give_up).await {
        Ok(hello) => Session::new(plane, hello).serve(&mut up, &down).await,
        Err(status) => Err(status),
    };
    if let Err(status) = end {
        // A data plane that does not read any more cannot be told.
        let _ = timeout(give_up, down.send(Err(status))).await;
    }
}

struct Session {
    plane: Plane,
    replica: Membership,
    image: watch::Receiver<Arc<Image>>,
    states: watch::Receiver<States>,
    /// Wakes when the store has answered.
    refreshed: watch::Receiver<u64>,
    outbox: Outbox,
    position: Position,
    /// Of the image that `position` was last compared with.
    generation: u64,
    /// The step from `position` that is being looked for; while it is, no other is begun.
    catching_up: Option<CatchUp>,
    refusals: Refusals,
    /// Revision of the last full step sent; refusals of older steps are old news.
    full_revision: u64,
    told: Told,
    last_sent: Instant,
    last_seen: Instant,
}

impl Session {
    fn new(plane: Plane, hello: v1::Hello) -> Self {
        let (image, states, refreshed) = (plane.hub.changed(), plane.book.states(), plane.hub.answers());
        let (position, generation) = (greet(&hello, &image.borrow()), image.borrow().generation);
        if matches!(position, Position::Ahead { .. }) {
            plane.hub.ask();
        }
        tracing::info!(
            replica = hello.replica_id,
            version = hello.version,
            revision = hello.revision,
            "data plane connected"
        );
        if hello.version != VERSION {
            tracing::warn!(replica = hello.replica_id, theirs = hello.version, ours = VERSION, "versions differ");
        }
        let now = Instant::now();
        let held = if hello.store_id == *image.borrow().store_id { hello.revision } else { 0 };
        Self {
            replica: plane.replicas.join(hello.replica_id, hello.version, held),
            plane,
            image,
            states,
            refreshed,
            outbox: Outbox::default(),
            position,
            generation,
            catching_up: None,
            refusals: Refusals::default(),
            full_revision: 0,
            told: Told::default(),
            last_sent: now,
            last_seen: now,
        }
    }

    async fn serve(
        mut self,
        up: &mut Streaming<v1::SyncRequest>,
        down: &mpsc::Sender<Result<Frame, Status>>,
    ) -> Result<(), Status> {
        self.welcome();
        let (shutdown, heartbeat) = (self.plane.shutdown.clone(), self.plane.heartbeat);
        loop {
            self.advance();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Status::unavailable("the control plane is shutting down")),
                message = up.message() => match message? {
                    Some(request) => self.receive(request),
                    None => return Ok(()),
                },
                // What has come is read before silence is judged.
                () = sleep_until(self.last_seen + heartbeat * MISSED) => return Err(self.silent()),
                permit = down.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => self.send(permit),
                    Err(_) => return Ok(()),
                },
                Ok(()) = self.states.changed() => self.send_health(false),
                Ok(()) = self.image.changed() => self.changed(),
                Ok(()) = self.refreshed.changed() => self.store_answered(),
                found = caught_up(&mut self.catching_up) => self.catch_up(found),
                () = retry(&self.position) => self.position = Position::Nothing,
                () = sleep_until(self.last_sent + heartbeat), if self.outbox.is_empty() => {
                    self.outbox.message(encode(Down::Heartbeat(v1::Heartbeat {})));
                }
            }
        }
    }

    fn welcome(&mut self) {
        let heartbeat_ms = self.plane.heartbeat.as_millis() as u32;
        self.outbox.message(encode(Down::Welcome(v1::Welcome { version: VERSION.into(), heartbeat_ms })));
        self.send_health(true);
    }

    /// Puts the next step into the outbox, if there is one and none is under way.
    fn advance(&mut self) {
        self.compare_past();
        if self.outbox.in_step() || self.catching_up.is_some() {
            return;
        }
        let hub = &self.plane.hub;
        match &self.position {
            Position::Ahead { .. } | Position::Refused { .. } => {}
            Position::Nothing => self.send_full(),
            Position::At(held) if *held == self.image.borrow().held() => {}
            Position::At(held) => match hub.step_after(held) {
                Some(step) => self.send_step(step),
                None => self.catching_up = Some(hub.catch_up(&self.plane.store, held)),
            },
        }
    }

    /// Where everything was read anew, a step from what is held would rest on a past that need not be the database's.
    fn compare_past(&mut self) {
        let image = self.image.borrow();
        if std::mem::replace(&mut self.generation, image.generation) == image.generation {
            return;
        }
        self.catching_up = None;
        if matches!(&self.position, Position::At(held) if *held != image.held()) {
            self.position = Position::Nothing;
        }
    }

    /// The step looked for was found or not. A refusal meanwhile has ended the search.
    fn catch_up(&mut self, found: Option<Arc<Step>>) {
        self.catching_up = None;
        match found {
            Some(step) => self.send_step(step),
            None => self.send_full(),
        }
    }

    fn send_step(&mut self, step: Arc<Step>) {
        self.position = Position::At(step.to.clone());
        self.plane.metrics.steps.inc();
        self.outbox.shared(step);
    }

    fn send_full(&mut self) {
        let image = self.image.borrow().clone();
        tracing::info!(replica = self.replica.id(), revision = image.revision, "sending the whole configuration");
        self.plane.metrics.full_syncs.inc();
        self.full_revision = image.revision;
        self.position = Position::At(image.held());
        self.outbox.full(self.plane.hub.everything(image));
    }

    fn send(&mut self, permit: mpsc::Permit<'_, Result<Frame, Status>>) {
        if let Some(frame) = self.outbox.next() {
            permit.send(Ok(frame));
            self.last_sent = Instant::now();
        }
    }

    fn receive(&mut self, request: v1::SyncRequest) {
        self.last_seen = Instant::now();
        self.replica.seen();
        match request.message {
            Some(Up::Ack(ack)) => {
                self.refusals.reset();
                self.replica.acknowledged(ack.revision);
            }
            Some(Up::Nack(nack)) => self.refused(nack),
            Some(Up::Report(report)) => self.replica.reported(report),
            // A newer data plane may say what this version does not know.
            Some(Up::Heartbeat(_) | Up::Hello(_)) | None => {}
        }
    }

    /// The steps that were already under way behind the refused one will be refused too: that is one refusal.
    fn refused(&mut self, nack: v1::Nack) {
        tracing::warn!(replica = self.replica.id(), revision = nack.revision, reason = nack.reason, "update refused");
        self.plane.metrics.refusals.inc();
        self.replica.refused(nack.reason);
        if nack.revision >= self.full_revision && !matches!(self.position, Position::Refused { .. }) {
            self.outbox.abandon_step();
            self.catching_up = None;
            self.position = self.refusals.count(Instant::now());
        }
    }

    fn changed(&mut self) {
        let revision_now = self.image.borrow_and_update().revision;
        match &self.position {
            Position::Refused { at_change: true, .. } => self.position = Position::Nothing,
            Position::Ahead { held, .. } if held.revision <= revision_now => {
                self.position = Position::At(held.clone());
            }
            _ => {}
        }
    }

    /// The first answer may be one to a question older than the Hello. A data plane that is still ahead after the
    /// second holds something that the database has lost, as after a restored backup.
    fn store_answered(&mut self) {
        if matches!(self.position, Position::Ahead { .. }) {
            self.changed();
        }
        if let Position::Ahead { answers, .. } = &mut self.position {
            *answers += 1;
            match answers {
                1 => self.plane.hub.ask(),
                _ => self.position = Position::Nothing,
            }
        }
    }

    fn send_health(&mut self, full: bool) {
        if let Some(frame) = self.told.news(&self.states.borrow_and_update(), full) {
            self.outbox.message(frame);
        }
    }

    fn silent(&self) -> Status {
        let silent_ms = self.last_seen.elapsed().as_millis() as u64;
        tracing::warn!(replica = self.replica.id(), silent_ms, "data plane is silent: giving it up");
        Status::deadline_exceeded(format!("no message for {silent_ms} ms"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        tracing::info!(replica = self.replica.id(), "data plane disconnected");
    }
}

async fn retry(position: &Position) {
    match position {
        Position::Refused { until, .. } => sleep_until(*until).await,
        _ => future::pending().await,
    }
}

/// Ends only if something is looked for.
async fn caught_up(catching_up: &mut Option<CatchUp>) -> Option<Arc<Step>> {
    match catching_up {
        Some(step) => step.await,
        None => future::pending().await,
    }
}
