//! A connection after 101: bytes both ways until both sides are done.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use super::exchange::Exchange;
use crate::server::{Deadline, Worker};

/// Copies until both sides are done, or nothing is carried for too long. `early` is what the client sent before it knew.
/// Counts as in flight on its backend until the end.
pub(crate) async fn run<S>(worker: &Worker, client: S, early: Vec<u8>, exchange: Box<Exchange>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (quiet, patience) = (worker.timers.deadline(), worker.options.tunnel_idle_timeout);
    worker.shared.metrics.connections.tunnel();
    quiet.set(patience);
    let (backend, late, _in_flight) = exchange.into_tunnel();
    let backend = Watched { stream: backend, quiet: quiet.clone(), patience };
    tokio::select! {
        result = copy(client, early, backend, late) => if let Err(error) = result {
            tracing::debug!(%error, "tunnel ended");
        },
        () = quiet.passed() => tracing::debug!("tunnel closed: nothing was carried within the idle time-out"),
    }
}

async fn copy<C, B>(mut client: C, early: Vec<u8>, mut backend: B, late: Vec<u8>) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    client.write_all(&late).await?;
    backend.write_all(&early).await?;
    // Nobody else flushes what TLS holds back, if nothing follows.
    client.flush().await?;
    backend.flush().await?;
    drop((early, late));
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
