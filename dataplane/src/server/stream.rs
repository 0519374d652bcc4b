//! A client's connection as bytes: plain or through TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{balance_threads::Place, gather::Gather};

/// Bytes of a client, and what its connection takes up for as long as they may flow, tunnels included.
pub(super) struct Stream {
    transport: Transport,
    place: Place,
    /// Bytes that were read and are to be read again.
    early: Vec<u8>,
}

/// What carries the bytes.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<Gather>>),
}

/// Calls the same method on whichever it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match &mut $stream.get_mut().transport {
            Transport::Plain($inner) => $call,
            Transport::Tls($inner) => $call,
        }
    };
}

impl Stream {
    pub(super) fn new(transport: Transport, place: Place) -> Self {
        Self { transport, place, early: Vec::new() }
    }

    /// Has these bytes read again, before any others.
    pub(super) fn unread(&mut self, bytes: Vec<u8>) {
        self.early = bytes;
    }

    /// Whether its client is only to be told that there are too many connections.
    pub(super) fn is_refused(&self) -> bool {
        self.place.seat.is_refused()
    }
}

impl Stream {
    /// What is written now is the last, and all of it is here: it leaves when the end is said, and not before.
    pub(super) fn await_goodbye(&mut self) {
        if let Transport::Tls(stream) = &mut self.transport {
            stream.get_mut().0.begin();
        }
    }

    /// Says the end, if there is a way to; all that was written has left then. What follows must be the close.
    pub(super) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Transport::Tls(stream) = &mut self.transport else { return Poll::Ready(Ok(())) };
        let (socket, session) = stream.get_mut();
        // Once, however often it is called.
        session.send_close_notify();
        socket.end();
        Pin::new(stream).poll_flush(cx)
    }

    /// The socket, where its bytes are those of the connection, and none are to be read again.
    pub(super) fn plain(&self) -> Option<&TcpStream> {
        match &self.transport {
            Transport::Plain(stream) if self.early.is_empty() => Some(stream),
            _ => None,
        }
    }

    /// The connection will end with a reset, and nothing that was not sent by then is sent.
    pub(super) fn reset_when_closed(&self) {
        let socket = match &self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_ref().0.socket(),
        };
        // Where it fails the client sees an orderly end, as it would have without this.
        let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..length]);
            self.get_mut().early.drain(..length);
            return Poll::Ready(Ok(()));
        }
        each!(self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(inner) => inner.is_write_vectored(),
            Transport::Tls(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
