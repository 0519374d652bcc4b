//! A connection whose client must begin to speak.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What an HTTP/2 client says first. As long as what came may be the beginning of it, the server has not found out what
/// is spoken, and none of its own time-outs runs yet.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reading fails when it has not become clear in time which HTTP the client speaks.
pub(super) struct FirstWords<S> {
    stream: S,
    /// Bytes of [`PREFACE`] that have come.
    matched: usize,
    /// `None`: it is clear.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstWords<S> {
    pub(super) fn new(stream: S, within: Duration) -> Self {
        Self { stream, matched: 0, deadline: Some(Box::pin(sleep(within))) }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.matched..];
        self.matched += bytes.len().min(expected.len());
        if bytes.len() >= expected.len() || !expected.starts_with(bytes) {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match (&mut self.deadline, &read) {
            (Some(deadline), Poll::Pending) => {
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            (Some(_), Poll::Ready(Ok(()))) => {
                self.heard(&buffer.filled()[before..]);
                read
            }
            _ => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstWords<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SOON: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn silence_and_half_a_preface_end_in_time() {
        for said in ["", "PRI * HTTP/2.0\r\n"] {
            let (mut client, server) = duplex(64);
            client.write_all(said.as_bytes()).await.unwrap();
            let error = FirstWords::new(server, SOON).read_exact(&mut [0; 24]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said:?}");
        }
    }

    #[tokio::test]
    async fn who_has_spoken_may_be_silent() {
        for said in ["G", "PRX", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let (mut client, server) = duplex(64);
            client.write_all(said.as_bytes()).await.unwrap();
            let mut server = FirstWords::new(server, SOON);
            server.read_exact(&mut vec![0; said.len()]).await.unwrap();
            let silent = tokio::time::timeout(SOON * 4, server.read(&mut [0])).await;
            assert!(silent.is_err(), "{said:?}");
        }
    }
}
