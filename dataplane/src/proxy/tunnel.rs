//! A connection after 101: bytes both ways until both sides are done.

use std::{io, rc::Rc};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use crate::{pool::InFlight, server::Worker, upstream::Upstream};

/// Starts copying as soon as both connections have been handed over. Counts as in flight on its backend until the end.
pub(super) fn start(worker: &Rc<Worker>, client: OnUpgrade, upstream: Upstream, in_flight: InFlight) {
    worker.clone().spawn(async move {
        let _in_flight = in_flight;
        if let Err(error) = copy(client, upstream).await {
            tracing::debug!(%error, "tunnel ended");
        }
    });
}

async fn copy(client: OnUpgrade, upstream: Upstream) -> io::Result<()> {
    let (mut backend, early) = upstream.into_tunnel().await;
    let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
    client.write_all(&early).await?;
    copy_bidirectional(&mut client, &mut backend).await?;
    Ok(())
}
