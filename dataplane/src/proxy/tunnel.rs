//! A connection after 101: bytes both ways until both sides are done.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use crate::{
    pool::InFlight,
    server::{Deadline, Worker},
    upstream::Upstream,
};

/// Starts copying as soon as both connections have been handed over. Counts as in flight on its backend until the end.
pub(super) fn start(worker: &Rc<Worker>, client: OnUpgrade, upstream: Upstream, in_flight: InFlight) {
    let (quiet, patience) = (worker.timers.deadline(), worker.options.tunnel_idle_timeout);
    worker.clone().spawn(async move {
        let _in_flight = in_flight;
        quiet.set(patience);
        tokio::select! {
            result = copy(client, upstream, &quiet, patience) => if let Err(error) = result {
                tracing::debug!(%error, "tunnel ended");
            },
            () = quiet.passed() => tracing::debug!("tunnel closed: nothing was carried within the idle time-out"),
        }
    });
}

async fn copy(client: OnUpgrade, upstream: Upstream, quiet: &Arc<Deadline>, patience: Duration) -> io::Result<()> {
    let (backend, early) = upstream.into_tunnel().await;
    let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
    client.write_all(&early).await?;
    let mut backend = Watched { stream: backend, quiet: quiet.clone(), patience };
    copy_bidirectional(&mut client, &mut backend).await?;
    Ok(())
}

/// A stream that puts the deadline off whenever it carries something. One side is enough: what comes from the client is
/// written to it.
struct Watched<S> {
    stream: S,
    quiet: Arc<Deadline>,
    patience: Duration,
}

impl<S> Watched<S> {
    fn carried<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            self.quiet.set(self.patience);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.carried(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.carried(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
