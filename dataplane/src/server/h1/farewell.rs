//! What is left when an answer is written: a body that nobody wanted, and the end of the connection.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::AsyncWrite;

use super::client::Client;
use crate::buffers::BLOCK_BYTES;

/// After an early answer: how much of what the client still sends is thrown away, so that it gets to read the answer
/// instead of a reset, and how long that may take.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

impl Client {
    /// Whether the rest of the body is short enough to be thrown away, as far as is known.
    pub(super) fn can_be_drained(&self) -> bool {
        self.body.left().is_none_or(|left| left <= LINGER_BYTES as u64)
    }

    /// Throws away the rest of the body, within bounds. Whether it ended, so that the next request follows.
    pub(super) async fn drain(&mut self) -> bool {
        self.piped = None;
        if self.body.is_over() {
            self.held.advance(self.held.ready().len());
            return true;
        }
        self.reading.clear();
        let mut drained = 0;
        poll_fn(|cx| self.poll_drain(cx, &mut drained)).await
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, drained: &mut usize) -> Poll<bool> {
        loop {
            self.held.advance(self.held.ready().len());
            if self.body.is_over() {
                self.reading.clear();
                return Poll::Ready(true);
            }
            if self.fault.is_some() || self.ended || *drained > LINGER_BYTES || !self.can_be_drained() {
                return Poll::Ready(false);
            }
            match self.held.poll_fill(cx, &mut self.stream, &self.worker.buffers, BLOCK_BYTES) {
                Poll::Ready(Ok(length @ 1..)) => {
                    *drained += length;
                    self.decode();
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    ready!(self.poll_patience(cx, LINGER));
                    return Poll::Ready(false);
                }
            }
        }
    }

    /// Closes the connection. What the client still sends is thrown away for a while.
    pub(super) async fn close(mut self) -> io::Result<()> {
        let has_read_all = self.body.is_over() && self.held.is_empty() && self.fault.is_none();
        let leaves_unread = !(self.ended || has_read_all);
        if !leaves_unread {
            return poll_fn(|cx| self.poll_goodbye(cx)).await;
        }
        poll_fn(|cx| self.poll_shutdown(cx)).await?;
        self.reading.clear();
        let mut lingered = 0;
        poll_fn(|cx| self.poll_linger(cx, &mut lingered)).await;
        Ok(())
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = self.stream.poll_goodbye(cx);
        self.poll_patience_for_writing(cx, said)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_patience_for_writing(cx, shut)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, lingered: &mut usize) -> Poll<()> {
        while *lingered < LINGER_BYTES {
            self.held.discard();
            match self.held.poll_fill(cx, &mut self.stream, &self.worker.buffers, BLOCK_BYTES) {
                Poll::Ready(Ok(length @ 1..)) => *lingered += length,
                Poll::Ready(_) => break,
                Poll::Pending => return self.poll_patience(cx, LINGER),
            }
        }
        Poll::Ready(())
    }
}
