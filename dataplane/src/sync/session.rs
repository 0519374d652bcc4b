//! One stream to one control plane, from connect to its end.

use std::time::Duration;

use balancer_proto::v1::{
    Ack, Heartbeat, Hello, Nack, ReplicaReport, SyncResponse, Update, Welcome, sync_request, sync_response,
};
use http::Uri;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    Holder, SyncOptions,
    assembler::{Assembler, Outcome},
    connect::{Lost, open},
    outbox::Outbox,
    pace::Pace,
};
use crate::{clock, limiter::LimitKind, shared::Shared, snapshot::Snapshot};

const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Returns `Ok` when shut down.
pub(super) async fn run(
    control_plane: &Uri,
    options: &SyncOptions,
    holder: &mut Holder,
    shutdown: &CancellationToken,
) -> Result<(), Lost> {
    let (outbox, outgoing) = Outbox::new();
    let mut names = options.replica_id.clone();
    let replica_id = names.borrow_and_update().clone();
    outbox.send(sync_request::Message::Hello(hello(replica_id, holder)))?;
    let inbound = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        opened = open(control_plane, options, outgoing) => opened?,
    };
    holder.shared().metrics.sync.connected();
    tracing::info!(%control_plane, "connected to the control plane");
    let session = Session { outbox, holder, assembler: Assembler::default(), pace: Pace::new(Instant::now()) };
    tokio::select! {
        ended = session.run(inbound, shutdown) => ended,
        () = renamed(names) => Err(Lost::Renamed),
    }
}

/// Resolves when this data plane takes another name.
async fn renamed(mut names: watch::Receiver<String>) {
    if names.changed().await.is_err() {
        // Whoever could take one is gone.
        std::future::pending().await
    }
}

fn hello(replica_id: String, holder: &Holder) -> Hello {
    let base = holder.base();
    let held = base.as_deref();
    Hello {
        replica_id,
        version: env!("CARGO_PKG_VERSION").into(),
        store_id: held.map(|held| held.store_id.clone()).unwrap_or_default(),
        revision: held.map_or(0, |held| held.revision),
        fingerprint: held.map_or(0, |held| held.limits.fingerprint().value()),
        config_tag: held.map_or(0, |held| held.config_tag),
    }
}

struct Session<'a> {
    outbox: Outbox,
    holder: &'a mut Holder,
    assembler: Assembler,
    pace: Pace,
}

impl Session<'_> {
    async fn run<S>(mut self, mut inbound: S, shutdown: &CancellationToken) -> Result<(), Lost>
    where
        S: Stream<Item = Result<SyncResponse, Status>> + Unpin,
    {
        let mut reports = interval(REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is due to be said comes before what there is to read: through a large step there is always something,
            // and the other side must not take that for silence. But what has come is read before silence is judged:
            // while a large step was applied, it may have waited beyond the deadline.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = sleep_until(self.pace.heartbeat_due()) => self.say(sync_request::Message::Heartbeat(Heartbeat {}))?,
                _ = reports.tick() => self.report()?,
                message = inbound.next() => self.receive(message.ok_or(Lost::Ended)??)?,
                () = sleep_until(self.pace.silent_from()) => return Err(Lost::Silent),
            }
        }
    }

    fn say(&mut self, message: sync_request::Message) -> Result<(), Lost> {
        self.pace.sent(Instant::now());
        self.outbox.send(message)
    }

    fn receive(&mut self, response: SyncResponse) -> Result<(), Lost> {
        let answered = match response.message {
            Some(sync_response::Message::Welcome(welcome)) => self.welcome(&welcome),
            Some(sync_response::Message::Update(chunk)) => self.update(chunk),
            Some(sync_response::Message::Health(update)) => {
                self.holder.heard_health(&update);
                Ok(())
            }
            // No message at all is a message of a newer control plane.
            Some(sync_response::Message::Heartbeat(Heartbeat {})) | None => Ok(()),
        };
        self.pace.heard(Instant::now());
        self.holder.shared().metrics.sync.heard();
        answered
    }

    fn welcome(&mut self, welcome: &Welcome) -> Result<(), Lost> {
        tracing::debug!(version = welcome.version, heartbeat_ms = welcome.heartbeat_ms, "welcome");
        self.pace.agree(welcome.heartbeat_ms);
        Ok(())
    }

    fn update(&mut self, chunk: Update) -> Result<(), Lost> {
        let base = self.holder.base();
        match self.assembler.receive(chunk, base.as_deref()) {
            Outcome::Nothing => Ok(()),
            Outcome::Refused(revision, refusal) => self.refuse(revision, refusal.to_string()),
            Outcome::Complete(step) => {
                // Given back first: what is replaced should be freed now and not by whoever comes next.
                drop(base);
                let (revision, full) = (step.revision, step.full);
                match self.holder.apply(*step) {
                    Ok(()) => self.acknowledge(revision, full),
                    Err(refusal) => self.refuse(revision, refusal.to_string()),
                }
            }
        }
    }

    fn acknowledge(&mut self, revision: u64, full: bool) -> Result<(), Lost> {
        self.holder.shared().metrics.sync.acknowledged();
        if full {
            tracing::info!(revision, "whole configuration applied");
        } else {
            tracing::debug!(revision, "change applied");
        }
        self.say(sync_request::Message::Ack(Ack { revision }))
    }

    fn refuse(&mut self, revision: u64, reason: String) -> Result<(), Lost> {
        self.holder.shared().metrics.sync.refused();
        self.holder.refused();
        tracing::warn!(revision, reason, "configuration refused; the last good snapshot stays");
        self.say(sync_request::Message::Nack(Nack { revision, reason }))
    }

    fn report(&mut self) -> Result<(), Lost> {
        self.holder.collect();
        let report = figures(self.holder.shared());
        self.say(sync_request::Message::Report(report))
    }
}

fn figures(shared: &Shared) -> ReplicaReport {
    let requests = &shared.metrics.requests;
    let answers = requests.answers();
    ReplicaReport {
        requests: answers.iter().sum(),
        refused: requests.refused_total(LimitKind::Default) + requests.refused_total(LimitKind::Client),
        server_errors: answers[4],
        in_flight: requests.in_flight(),
        buckets: shared.buckets.len() as u64,
        evictions: shared.buckets.evictions(),
        ejected_backends: shared.snapshot.load().as_ref().map_or(0, |held| ejected(held)),
    }
}

fn ejected(held: &Snapshot) -> u32 {
    let now = clock::now();
    let ejected = held.pool.backends().iter().filter(|backend| backend.state.ejected(now).is_some());
    u32::try_from(ejected.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::stream::unfold;

    use super::*;
    use crate::fixtures::plane;

    #[tokio::test]
    async fn a_stream_that_always_has_something_leaves_time_for_heartbeats() {
        let (mut holder, _shared) = plane();
        let (outbox, outgoing) = Outbox::new();
        let mut pace = Pace::new(Instant::now());
        pace.agree(10);
        let session = Session { outbox, holder: &mut holder, assembler: Assembler::default(), pace };
        // As a socket does, it lets others run now and then, but there is always a next message.
        let flood = unfold((), async |()| {
            tokio::task::coop::consume_budget().await;
            Some((Ok(SyncResponse { message: None }), ()))
        });
        let shutdown = CancellationToken::new();
        let heard = async {
            let said = outgoing.filter(|said| matches!(said.message, Some(sync_request::Message::Heartbeat(_))));
            tokio::pin!(said);
            said.next().await
        };
        tokio::select! {
            ended = session.run(Box::pin(flood), &shutdown) => panic!("{ended:?}"),
            heartbeat = heard => assert!(heartbeat.is_some()),
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("no heartbeat"),
        }
    }
}
