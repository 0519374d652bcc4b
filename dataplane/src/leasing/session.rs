//! One stream to one control plane, from connect to its end.

use std::time::Duration;

use balancer_proto::v1::{Join, LeaseRequest, LeaseResponse};
use http::Uri;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::{Until, host::Host};
use crate::{
    convert::Refusal,
    lease::{Fault, message::Request},
    sync::{Lost, SyncOptions, dial},
};

/// Requests that may wait to be sent: far more than a control plane that reads leaves waiting.
const OUTBOX: usize = 64;
/// Holdings in one request: their bytes are then far below what gRPC lets a message have.
const HOLDINGS_PER_REQUEST: usize = 20_000;
/// How long a control plane may take to read what is said first.
const JOIN_WITHIN: Duration = Duration::from_secs(5);

/// How a stream ended.
pub(super) enum End {
    /// The lease is over; everything held has been given back if that was possible.
    Over,
    /// The ledger is kept by another control plane, at this address; empty: not known.
    Elsewhere(String),
    /// Another data plane has a stream under this one's name.
    Namesake,
    /// It broke, or there never was one. True: the ledger had gone along with it.
    Lost(Broken, bool),
}

/// Why a stream ended that should have gone on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Lost(#[from] Lost),
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("the ledger says what cannot be: {0}")]
    Refused(#[from] Refusal),
}

/// Keeps the lease on one stream until it ends, or until the lease is over.
pub(super) async fn run(control_plane: &Uri, options: &SyncOptions, host: &mut Host<'_>, until: &mut Until) -> End {
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let opening = dial(control_plane, options, ReceiverStream::new(outgoing), async |mut client, request| {
        client.lease(request).await
    });
    let opened = tokio::select! {
        () = until.reached() => return End::Over,
        opened = host.meanwhile(opening) => opened,
    };
    let mut inbound = match opened {
        Ok(inbound) => inbound,
        Err(lost) => return ended(lost.into(), false),
    };
    let end = converse(host, &outbox, &mut inbound, until).await;
    let told_all = matches!(end, Ok(None)) && farewell(host, outbox, &mut inbound).await;
    let welcomed = host.is_welcome();
    host.disconnected(told_all);
    match end {
        Ok(None) => End::Over,
        Ok(Some(elsewhere)) => End::Elsewhere(elsewhere),
        Err(broken) => ended(broken, welcomed),
    }
}

fn ended(broken: Broken, welcomed: bool) -> End {
    match broken {
        Broken::Lost(Lost::Failed(status)) if status.code() == Code::AlreadyExists => End::Namesake,
        broken => End::Lost(broken, welcomed),
    }
}

/// Until the lease is over (`None`) or the control plane names another.
async fn converse(
    host: &mut Host<'_>,
    outbox: &mpsc::Sender<LeaseRequest>,
    inbound: &mut Streaming<LeaseResponse>,
    until: &mut Until,
) -> Result<Option<String>, Broken> {
    for part in parts(host.begin_stream().into()) {
        let sent = timeout(JOIN_WITHIN, outbox.send(part)).await;
        sent.map_err(|_| Lost::NotReading)?.map_err(|_| Lost::NotReading)?;
    }
    loop {
        while let Some(request) = host.request() {
            say(outbox, request)?;
        }
        tokio::select! {
            biased;
            () = until.reached() => return Ok(None),
            // What has come is heard before silence is judged.
            message = inbound.message() => {
                let response = message.map_err(Lost::from)?.ok_or(Lost::Ended)?;
                if let Some(elsewhere) = response.elsewhere {
                    return Ok(Some(elsewhere.address));
                }
                host.receive(response.try_into()?)?;
            }
            worked = host.work() => worked?,
        }
    }
}

fn say(outbox: &mpsc::Sender<LeaseRequest>, request: Request) -> Result<(), Lost> {
    outbox.try_send(request.into()).map_err(|_| Lost::NotReading)
}

/// Gives everything back, and waits until that has been heard; false: it is not known to have been.
async fn farewell(
    host: &mut Host<'_>,
    outbox: mpsc::Sender<LeaseRequest>,
    inbound: &mut Streaming<LeaseResponse>,
) -> bool {
    if !host.is_welcome() {
        return false;
    }
    // After that time there is nobody any more who could hear it in time. A ledger that is gone ends the stream before.
    let given_back = timeout(host.written_off_after(), give_back(host, outbox, inbound)).await;
    match &given_back {
        Ok(Ok(())) => tracing::debug!("what was held has been given back"),
        Ok(Err(broken)) => tracing::info!("what was held could not be given back: {broken}"),
        Err(_) => tracing::info!("it is not known whether what was held has been given back: the ledger is silent"),
    }
    matches!(given_back, Ok(Ok(())))
}

async fn give_back(
    host: &mut Host<'_>,
    outbox: mpsc::Sender<LeaseRequest>,
    inbound: &mut Streaming<LeaseResponse>,
) -> Result<(), Broken> {
    host.give_back();
    let mut said = 0;
    while let Some(request) = host.request() {
        said = request.seq;
        say(&outbox, request)?;
    }
    // Until it is heard, what was on its way here arrives.
    let mut echoed = 0;
    while echoed < said {
        let response = inbound.message().await.map_err(Lost::from)?.ok_or(Lost::Ended)?;
        echoed = echoed.max(response.echoed);
        host.receive(response.try_into()?)?;
    }
    for request in host.leave() {
        say(&outbox, request)?;
    }
    drop(outbox);
    while inbound.message().await.map_err(Lost::from)?.is_some() {}
    Ok(())
}

/// The first request in parts that can be sent.
fn parts(first: LeaseRequest) -> Vec<LeaseRequest> {
    let LeaseRequest { seq, join: Some(mut join), .. } = first else { return vec![first] };
    let replica_id = join.replica_id.clone();
    let holdings = std::mem::take(&mut join.holdings);
    let mut chunks: Vec<_> = holdings.chunks(HOLDINGS_PER_REQUEST).map(<[_]>::to_vec).collect();
    if chunks.is_empty() {
        chunks.push(Vec::new());
    }
    let last = chunks.len() - 1;
    let of = |(index, holdings): (usize, Vec<_>)| {
        let join = if index == 0 { join.clone() } else { Join { replica_id: replica_id.clone(), ..Join::default() } };
        LeaseRequest { seq, join: Some(Join { holdings, more: index < last, ..join }), ..LeaseRequest::default() }
    };
    chunks.into_iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use balancer_proto::v1::Holding;

    use super::*;

    #[test]
    fn what_is_held_is_said_in_parts() {
        let holdings = vec![Holding::default(); 2 * HOLDINGS_PER_REQUEST + 1];
        let join = Join { replica_id: "r".into(), share: 0.5, holdings, ..Join::default() };
        let parts = parts(LeaseRequest { seq: 1, join: Some(join), ..LeaseRequest::default() });
        let said: Vec<_> = parts
            .iter()
            .map(|part| {
                let join = part.join.as_ref().unwrap();
                (part.seq, join.replica_id.as_str(), join.share, join.holdings.len(), join.more)
            })
            .collect();
        let most = HOLDINGS_PER_REQUEST;
        assert_eq!(said, [(1, "r", 0.5, most, true), (1, "r", 0.0, most, true), (1, "r", 0.0, 1, false)]);
    }

    #[test]
    fn who_holds_nothing_says_so_in_one_part() {
        let parts = parts(LeaseRequest { seq: 1, join: Some(Join::default()), ..LeaseRequest::default() });
        assert!(parts.len() == 1 && !parts[0].join.as_ref().unwrap().more);
    }
}
