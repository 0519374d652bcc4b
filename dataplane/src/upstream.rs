//! A connection to a backend, driven inline by the request that uses it: the backend's bytes wake the task that waits
//! for them, and no other.

mod connect;
mod h2;
mod idle;
mod stream;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

pub(crate) use connect::{ConnectError, connect};
#[cfg(feature = "fuzzing")]
pub use h2::fuzzing as h2_fuzzing;
pub(crate) use h2::{Destination, Http2Pool};
pub(crate) use idle::IdlePool;
pub(crate) use stream::BackendStream;

use crate::{
    buffers::{BLOCK_BYTES, Buffers, HEAD_READ_BYTES, Held},
    http1::{Field, Fields, Garbage, ResponseHead, scan_response},
    pipes::Pipe,
};

/// An open HTTP/1.1 connection to a backend, with at most one request on it at a time.
pub(crate) struct Upstream {
    stream: BackendStream,
    /// What the backend has sent and nobody has used.
    pub(crate) held: Held,
    /// What is held at most of an answer.
    pub(crate) most_held: usize,
    /// The last answer had a body that is better not read, and the next may have one.
    pub(crate) expects_large: bool,
    /// Bytes of an incomplete head that were looked at.
    seen: usize,
    /// Of the last head.
    places: Vec<Field>,
}

/// Why there is no head of an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHead {
    /// What came is not HTTP.
    #[error(transparent)]
    Garbage(#[from] Garbage),
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The connection is broken.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

impl Upstream {
    /// A fresh connection.
    pub(crate) fn new(stream: BackendStream) -> Self {
        Self {
            stream,
            held: Held::default(),
            most_held: BLOCK_BYTES,
            expects_large: false,
            seen: 0,
            places: Vec::new(),
        }
    }

    /// Writes what it can of two parts, one after the other.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        poll_write_both(&mut self.stream, cx, first, second)
    }

    /// Writes what can be written of a pipe, to a [plain](Self::plain) socket. The number of bytes.
    pub(crate) fn poll_empty(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let Some(socket) = self.plain() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        pipe.poll_empty(cx, socket)
    }

    /// Sends what was written and is still here.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The next head of an answer; its bytes are the first of `held`'s raw ones, until they are consumed.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        to_head: bool,
        buffers: &Buffers,
    ) -> Poll<Result<ResponseHead, NoHead>> {
        loop {
            if !self.held.is_empty()
                && let Some(head) = scan_response(self.held.raw(), &mut self.seen, to_head, &mut self.places)?
            {
                self.seen = 0;
                return Poll::Ready(Ok(head));
            }
            let most = match self.held.is_empty() {
                true if self.expects_large => HEAD_READ_BYTES,
                true => self.most_held,
                // A head may be longer than what is held of a body.
                false => BLOCK_BYTES,
            };
            if ready!(self.held.poll_fill(cx, &mut self.stream, buffers, most))? == 0 {
                return Poll::Ready(Err(NoHead::Closed));
            }
        }
    }

    /// The fields of the head that was found last.
    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields { bytes: self.held.raw(), places: &self.places }
    }

    /// Reads more; 0: the backend has closed its side.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, buffers: &Buffers) -> Poll<io::Result<usize>> {
        self.held.poll_fill(cx, &mut self.stream, buffers, self.most_held)
    }

    /// The backend's socket, where its bytes are those of HTTP/1.1.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        self.stream.plain()
    }

    /// Whether the backend sends trailers that it has not announced: in HTTP/2 nobody does.
    pub(crate) fn announces_no_trailers(&self) -> bool {
        matches!(self.stream, BackendStream::Translated(_))
    }

    /// What was written of the body of a request that the backend has not looked at. It can be sent again, whatever it is.
    pub(crate) fn take_back(&mut self) -> Option<Vec<u8>> {
        match &mut self.stream {
            BackendStream::Direct(_) => None,
            BackendStream::Translated(translated) => translated.take_back(),
        }
    }

    /// After 101: the stream, and what was read beyond the head.
    pub(crate) fn into_tunnel(self) -> (BackendStream, Vec<u8>) {
        (self.stream, self.held.into_rest())
    }

    /// Whether another request can be sent on it. Notices a backend that closed it, or said something nobody asked for,
    /// as far as the reactor has heard of it.
    pub(crate) fn is_usable(&mut self) -> bool {
        // Nobody waits for an idle connection, so nobody need be woken.
        let (mut cx, mut byte) = (Context::from_waker(Waker::noop()), [0]);
        self.held.is_empty() && Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

/// Writes what `stream` takes of two parts, one after the other, in one call where that is possible.
pub(crate) fn poll_write_both(
    stream: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    let written = match (first.is_empty(), second.is_empty()) {
        (true, _) => stream.poll_write(cx, second),
        (_, true) => stream.poll_write(cx, first),
        _ => stream.poll_write_vectored(cx, &[io::IoSlice::new(first), io::IoSlice::new(second)]),
    };
    match ready!(written)? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        length => Poll::Ready(Ok(length)),
    }
}
