//! One data plane's stream for tokens: to the ledger, if it is kept here.

use std::time::Duration;

use balancer_proto::v1::{self, Elsewhere, LeaseRequest, LeaseResponse};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tonic::{Status, Streaming};

use super::greeting::check_replica_id;
use crate::{
    keeper::{Seat, Taken, Ticket},
    ledger::message::{Join, Request},
    plane::Plane,
};

/// How long a data plane may take to say all that it holds.
const JOIN_WITHIN: Duration = Duration::from_secs(10);
/// Most of what one may hold.
const MAX_HOLDINGS: usize = 4_000_000;
/// How long a data plane that takes nothing is given to take the end.
const FAREWELL: Duration = Duration::from_secs(5);

type Answer = Result<LeaseResponse, Status>;

/// Serves a stream until either side ends it.
pub(super) async fn run(plane: Plane, mut up: Streaming<LeaseRequest>, down: mpsc::Sender<Answer>) {
    let shutdown = plane.shutdown.clone();
    let end = match shutdown.run_until_cancelled(serve(&plane, &mut up, &down)).await {
        Some(end) => end,
        None => Err(Status::unavailable("the control plane is shutting down")),
    };
    drop(plane);
    if let Err(status) = end {
        // A data plane that does not read any more cannot be told.
        let _ = timeout(FAREWELL, down.send(Err(status))).await;
    }
}

async fn serve(plane: &Plane, up: &mut Streaming<LeaseRequest>, down: &mpsc::Sender<Answer>) -> Result<(), Status> {
    let late = |_| Status::deadline_exceeded("join: it did not come to its end in time");
    let Some(join) = timeout(JOIN_WITHIN, join(plane, up)).await.map_err(late)?? else {
        return point_elsewhere(plane, down).await;
    };
    let (seat, ended) = Seat::new(down.clone());
    let Some(joined) = plane.keeper.join(join, seat).await else {
        return point_elsewhere(plane, down).await;
    };
    let ticket = joined.map_err(|Taken| Status::already_exists("replica_id: another data plane has it now"))?;
    let end = pass_on(plane, ticket, up, ended).await;
    plane.keeper.gone(ticket).await;
    end
}

/// The whole of what a data plane says first, which may come in parts that have all the same number; `None`: there is no
/// ledger here.
async fn join(plane: &Plane, up: &mut Streaming<LeaseRequest>) -> Result<Option<Join>, Status> {
    let mut whole: Option<v1::Join> = None;
    loop {
        let Some(part) = up.message().await?.filter(|request| request.seq == 1).and_then(|request| request.join) else {
            return Err(Status::invalid_argument("join: expected in the first message, which has seq 1"));
        };
        check_replica_id(&part.replica_id)?;
        if !plane.authority.is_here() {
            return Ok(None);
        }
        let more = part.more;
        match &mut whole {
            Some(whole) if whole.replica_id == part.replica_id => whole.holdings.extend(part.holdings),
            Some(_) => return Err(Status::invalid_argument("join.replica_id: expected the same in every part")),
            None => whole = Some(part),
        }
        if whole.as_ref().is_some_and(|whole| whole.holdings.len() > MAX_HOLDINGS) {
            return Err(Status::resource_exhausted(format!("join.holdings: expected at most {MAX_HOLDINGS}")));
        }
        if !more {
            return whole
                .map(Join::try_from)
                .transpose()
                .map_err(|malformed| Status::invalid_argument(malformed.to_string()));
        }
    }
}

async fn point_elsewhere(plane: &Plane, down: &mpsc::Sender<Answer>) -> Result<(), Status> {
    let address = plane.authority.whereabouts().to_string();
    let response = LeaseResponse { seq: 1, elsewhere: Some(Elsewhere { address }), ..LeaseResponse::default() };
    // If it has gone, it asks elsewhere anyway.
    let _ = down.send(Ok(response)).await;
    Ok(())
}

/// Passes on what a data plane says until the stream ends, be it there or with the keeper.
async fn pass_on(
    plane: &Plane,
    ticket: Ticket,
    up: &mut Streaming<LeaseRequest>,
    mut ended: oneshot::Receiver<Result<(), Status>>,
) -> Result<(), Status> {
    loop {
        let request = tokio::select! {
            biased;
            end = &mut ended => return end.unwrap_or_else(|_| Err(Status::unavailable("the ledger is gone"))),
            request = up.message() => request?,
        };
        let Some(request) = request else { return Ok(()) };
        let request =
            Request::try_from(request).map_err(|malformed| Status::invalid_argument(malformed.to_string()))?;
        plane.keeper.receive(ticket, request).await;
    }
}
