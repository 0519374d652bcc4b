//! `StatusService`. Answers from memory alone, so it works while the database is gone.

use std::time::Duration;

use balancer_proto::v1::{self, status_service_server::StatusService};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::invalid;
use crate::{
    VERSION, convert,
    domain::{Invalid, LimitScope},
    explain,
    plane::Plane,
    replicas::Replica,
};

const DEFAULT_INTERVAL_MS: u32 = 1_000;

#[tonic::async_trait]
impl StatusService for Plane {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::GetStatusResponse>, Status> {
        Ok(Response::new(v1::GetStatusResponse { status: Some(picture(self).await) }))
    }

    async fn explain_client(
        &self,
        request: Request<v1::ExplainClientRequest>,
    ) -> Result<Response<v1::ExplainClientResponse>, Status> {
        Ok(Response::new(explain(self, &request.get_ref().client).await?))
    }

    type WatchStatusStream = ReceiverStream<Result<v1::WatchStatusResponse, Status>>;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let interval = interval(request.get_ref().interval_ms).map_err(invalid)?;
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(watch(self.clone(), interval, send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

fn interval(interval_ms: u32) -> Result<Duration, Invalid> {
    let interval_ms = if interval_ms == 0 { DEFAULT_INTERVAL_MS } else { interval_ms };
    if (100..=60_000).contains(&interval_ms) {
        return Ok(Duration::from_millis(interval_ms.into()));
    }
    let expected = format!("expected 100 to 60000 milliseconds, got {interval_ms}");
    Err(Invalid { field: "interval_ms", expected })
}

async fn watch(plane: Plane, interval: Duration, send: mpsc::Sender<Result<v1::WatchStatusResponse, Status>>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = plane.shutdown.cancelled() => return,
            () = send.closed() => return,
            _ = ticks.tick() => {}
        }
        if send.send(Ok(v1::WatchStatusResponse { status: Some(picture(&plane).await) })).await.is_err() {
            return;
        }
    }
}

async fn picture(plane: &Plane) -> v1::Status {
    let ledger = plane.keeper.show(None).await;
    let image = plane.hub.image();
    let observations = plane.book.observations();
    v1::Status {
        version: VERSION.into(),
        store_id: image.store_id.to_string(),
        database: plane.store.kind().into(),
        database_available: plane.probe.fault().is_none(),
        revision: image.revision,
        limits: image.limits.len() as u64,
        replicas: plane.replicas.all().into_iter().map(|(id, replica)| replica_status(id, replica)).collect(),
        backends: image.backends.iter().map(|b| convert::backend_status(b, observations.get(&b.id))).collect(),
        uptime_ms: millis(plane.started),
        fault: plane.hub.fault().unwrap_or_default(),
        ledger: Some(convert::ledger_status(ledger.as_ref(), &plane.authority.whereabouts())),
    }
}

async fn explain(plane: &Plane, client: &str) -> Result<v1::ExplainClientResponse, Status> {
    let image = plane.hub.image();
    let Some(applied) = explain::applied(&image, client) else { return Err(unknown(client)) };
    let scope = image.settings.limit_scope;
    let ledger = plane.keeper.show(Some(applied.key)).await;
    let verdict = explain::verdict(applied.limit, scope, ledger.as_ref());
    let status = convert::ledger_status(ledger.as_ref(), &plane.authority.whereabouts());
    let answer = convert::applied(&applied, scope);
    // An account may be left from before the limit was taken away, or counted for each data plane alone.
    let Some(ledger) = ledger.filter(|_| applied.limit.is_some() && scope == LimitScope::Global) else {
        return Ok(v1::ExplainClientResponse { ledger: Some(status), verdict, ..answer });
    };
    let client = ledger.client.as_ref();
    Ok(v1::ExplainClientResponse {
        ledger: Some(status),
        free: client.is_none(),
        available: client.map_or(0.0, |client| client.available),
        holders: client.into_iter().flat_map(|client| &client.holders).map(convert::holder).collect(),
        waiting: client.map_or(0, |client| client.waiting as u32),
        verdict,
        ..answer
    })
}

fn unknown(client: &str) -> Status {
    Status::not_found(format!(
        "client: no limit has the client_id {client:?}, and it is no address; requests that bear it fall under the limit of \
         the address they come from"
    ))
}

fn replica_status(replica_id: String, replica: Replica) -> v1::ReplicaStatus {
    v1::ReplicaStatus {
        replica_id,
        version: replica.version,
        revision: replica.revision,
        connected_ms: millis(replica.connected),
        last_seen_ms: millis(replica.last_seen),
        last_refusal: replica.last_refusal,
        report: replica.report,
    }
}

fn millis(since: tokio::time::Instant) -> u64 {
    since.elapsed().as_millis() as u64
}
