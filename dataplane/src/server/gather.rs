//! A socket that gathers small writes which follow one another, so that they leave together.
//!
//! TLS writes more often than there is something to say: after a handshake a ticket, before the answer that follows it;
//! after the last answer an alert, before the end. Each write costs the kernel a packet, and the peer a wake-up.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What gathers at most, bytes: a record of TLS, and some.
const MAX_WAITING_BYTES: usize = 20 * 1024;

/// Writes in the order in which they came, some of them later. What waits has left, as far as the peer takes it, when the
/// socket is shut down or dropped.
pub(super) struct Gather {
    socket: TcpStream,
    waiting: Vec<u8>,
    until: Until,
}

/// When what waits leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// As soon as the peer takes it.
    Now,
    /// With the next write.
    Write,
    /// Before the peer's bytes are waited for. Writes and flushes wait for that.
    Read,
}

impl Gather {
    /// A socket that gathers, until bytes of the peer are waited for.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, waiting: Vec::new(), until: Until::Read }
    }

    /// From now on writes wait for what follows, which is sure to come soon.
    pub(super) fn begin(&mut self) {
        self.until = Until::Read;
    }

    /// From now on writes leave at once.
    pub(super) fn end(&mut self) {
        self.until = Until::Now;
    }

    /// From now on writes leave at once, but what waits is not needed before the first of them.
    pub(super) fn end_with_write(&mut self) {
        self.until = Until::Write;
    }

    /// The socket beneath.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while sent < self.waiting.len() {
            match Pin::new(&mut self.socket).poll_write(cx, &self.waiting[sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(length)) => sent += length,
                other => {
                    self.waiting.drain(..sent);
                    return other.map_ok(|_| ());
                }
            }
        }
        self.waiting = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Puts these bytes behind what waits, if there is something to wait for and they fit. How many they are.
    fn gather(&mut self, parts: &[IoSlice<'_>]) -> Option<usize> {
        let length = parts.iter().map(|part| part.len()).sum();
        let waits = self.until == Until::Read || !self.waiting.is_empty();
        if !waits || self.waiting.len() + length > MAX_WAITING_BYTES {
            return None;
        }
        parts.iter().for_each(|part| self.waiting.extend_from_slice(part));
        Some(length)
    }
}

impl AsyncRead for Gather {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if read.is_pending()
            && self.until != Until::Write
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(length) = self.gather(parts) else {
            ready!(self.poll_send(cx))?;
            return Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        };
        if self.until != Until::Read {
            self.until = Until::Now;
            // What does not leave now is asked for again by the flush that must follow.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until == Until::Read { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        // Such as the alert that says why a handshake failed. Nobody is there to wait for a peer that takes nothing.
        if !self.waiting.is_empty() {
            let _ = self.socket.try_write(&self.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (Gather, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Gather::new(listener.accept().await.unwrap().0), peer)
    }

    async fn received(peer: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        peer.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    fn has_nothing(peer: &TcpStream) -> bool {
        // On loopback what was written is there at once.
        peer.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn what_was_gathered_leaves_before_the_peer_is_waited_for() {
        let (mut gather, mut peer) = pair().await;
        gather.write_all(b"one, ").await.unwrap();
        gather.flush().await.unwrap();
        gather.write_all(b"two").await.unwrap();
        assert!(has_nothing(&peer) && gather.waiting == b"one, two");
        let (mut byte, answer) = ([0], async {
            assert_eq!(received(&mut peer, 8).await, b"one, two");
            peer.write_all(b"x").await.unwrap();
        });
        tokio::join!(async { gather.read_exact(&mut byte).await.unwrap() }, answer);
        assert!(gather.waiting.capacity() == 0);
    }

    #[tokio::test]
    async fn what_is_not_needed_before_waits_for_a_write_or_a_flush() {
        let (mut gather, mut peer) = pair().await;
        gather.write_all(b"ticket, ").await.unwrap();
        gather.end_with_write();
        assert!(futures_util::poll!(std::pin::pin!(gather.read_u8())).is_pending());
        assert!(has_nothing(&peer));
        gather.write_all(b"answer").await.unwrap();
        assert_eq!(received(&mut peer, 14).await, b"ticket, answer");
        gather.begin();
        gather.write_all(b"ticket").await.unwrap();
        gather.end_with_write();
        gather.flush().await.unwrap();
        assert_eq!(received(&mut peer, 6).await, b"ticket");
    }

    #[tokio::test]
    async fn the_end_takes_along_what_waits() {
        for shuts_down in [true, false] {
            let (mut gather, mut peer) = pair().await;
            gather.write_all(b"the last, ").await.unwrap();
            gather.write_all(b"and the alert").await.unwrap();
            if shuts_down {
                gather.shutdown().await.unwrap();
            }
            drop(gather);
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"the last, and the alert");
        }
    }

    /// More than the kernel takes at once, in pieces that fit and pieces that do not, now gathered and now not.
    #[tokio::test]
    async fn nothing_is_lost_or_out_of_order_when_the_peer_is_slow() {
        let sent: Vec<u8> = (0..8_000_000u32).map(|n| (n % 251) as u8).collect();
        let (mut gather, mut peer) = pair().await;
        let write = async {
            let (mut rest, mut sizes) = (&sent[..], [1, 300, 16_000, 25_000, 70_000].iter().cycle());
            while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
                match rest.len() % 3 {
                    0 => gather.begin(),
                    1 => gather.end(),
                    _ => gather.end_with_write(),
                }
                let (part, left) = rest.split_at((*size).min(rest.len()));
                gather.write_all(part).await.unwrap();
                rest = left;
            }
            gather.shutdown().await.unwrap();
        };
        let mut all = Vec::new();
        tokio::join!(write, async { peer.read_to_end(&mut all).await.unwrap() });
        assert!(all == sent);
    }
}
