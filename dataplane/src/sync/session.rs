//! One stream to one control plane, from connect to its end.

use std::{error::Error, time::Duration};

use balancer_proto::v1::{
    Ack, Heartbeat, Hello, Nack, ReplicaReport, SyncResponse, Update, Welcome,
    data_plane_service_client::DataPlaneServiceClient, sync_request, sync_response,
};
use http::Uri;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{AsciiMetadataValue, MetadataValue},
    transport::Endpoint,
};

use super::{
    Holder, SyncOptions,
    assembler::{Assembler, Outcome},
    outbox::Outbox,
    pace::Pace,
};
use crate::{config::Secret, limiter::LimitKind, shared::Shared};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the connection's begin to the control plane's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Chunks are far smaller; this bounds what a faulty sender can make the plane allocate.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
const WINDOW_BYTES: u32 = 4 << 20;

/// Why there is no stream any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("cannot connect: {}", chain(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("no answer within {} s", OPEN_TIMEOUT.as_secs())]
    NoAnswer,
    #[error("{}", told(.0))]
    Failed(#[from] Status),
    #[error("the control plane ended the stream")]
    Ended,
    #[error("the control plane fell silent")]
    Silent,
    #[error("the control plane does not read")]
    NotReading,
}

/// The transport's own text is "transport error"; what happened is in its innermost source.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}

/// A status without a known code was made up by the transport when the connection broke.
fn told(status: &Status) -> String {
    match status.code() {
        Code::Unknown => format!("the stream broke: {}", status.message()),
        code => format!("{code}: {}", status.message()),
    }
}

/// Returns `Ok` when shut down.
pub(super) async fn run(
    control_plane: &Uri,
    options: &SyncOptions,
    holder: &mut Holder,
    shutdown: &CancellationToken,
) -> Result<(), Lost> {
    let (outbox, outgoing) = Outbox::new();
    outbox.send(sync_request::Message::Hello(hello(options, holder)))?;
    let opening = open(control_plane, options, Request::new(outgoing));
    let inbound = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        opened = timeout(OPEN_TIMEOUT, opening) => opened.map_err(|_| Lost::NoAnswer)??,
    };
    holder.shared().metrics.sync.connected();
    tracing::info!(%control_plane, "connected to the control plane");
    Session { outbox, holder, assembler: Assembler::default(), pace: Pace::new(Instant::now()) }
        .run(inbound, shutdown)
        .await
}

fn hello(options: &SyncOptions, holder: &Holder) -> Hello {
    let base = holder.base();
    let held = base.as_deref();
    Hello {
        replica_id: options.replica_id.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        store_id: held.map(|held| held.store_id.clone()).unwrap_or_default(),
        revision: held.map_or(0, |held| held.revision),
        fingerprint: held.map_or(0, |held| held.limits.fingerprint().value()),
    }
}

async fn open<S>(
    control_plane: &Uri,
    options: &SyncOptions,
    mut outgoing: Request<S>,
) -> Result<Streaming<SyncResponse>, Lost>
where
    S: tokio_stream::Stream<Item = balancer_proto::v1::SyncRequest> + Send + 'static,
{
    if let Some(bearer) = options.token.as_ref().and_then(bearer) {
        outgoing.metadata_mut().insert("authorization", bearer);
    }
    let channel = endpoint(control_plane).connect().await?;
    let mut client = DataPlaneServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(client.sync(outgoing).await?.into_inner())
}

/// HTTP/2's own keepalive finds a dead host even before Welcome; the heartbeat also finds a live host whose program hangs.
fn endpoint(control_plane: &Uri) -> Endpoint {
    Endpoint::from(control_plane.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
}

/// A token's characters were checked with the configuration.
fn bearer(token: &Secret) -> Option<AsciiMetadataValue> {
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

struct Session<'a> {
    outbox: Outbox,
    holder: &'a mut Holder,
    assembler: Assembler,
    pace: Pace,
}

impl Session<'_> {
    async fn run(mut self, mut inbound: Streaming<SyncResponse>, shutdown: &CancellationToken) -> Result<(), Lost> {
        let mut reports = interval(REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Messages come first: while a large step was applied, they may have waited beyond the deadline.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                message = inbound.message() => self.receive(message?.ok_or(Lost::Ended)?)?,
                () = sleep_until(self.pace.silent_from()) => return Err(Lost::Silent),
                _ = reports.tick() => self.report()?,
                () = sleep_until(self.pace.heartbeat_due()) => self.say(sync_request::Message::Heartbeat(Heartbeat {}))?,
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
                match self.holder.apply(step) {
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
    }
}
