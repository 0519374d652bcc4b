//! A connection that notes what comes in.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::{Protocol, Pulse};

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Tells the pulse which HTTP is spoken, and when bytes come. Changes nothing of them.
pub(super) struct Heard<S> {
    stream: S,
    pulse: Pulse,
    /// Bytes of [`PREFACE`] that have come; `None`: what is spoken is clear.
    matched: Option<usize>,
}

impl<S> Heard<S> {
    pub(super) fn new(stream: S, pulse: Pulse) -> Self {
        Self { stream, pulse, matched: Some(0) }
    }

    fn heard(&mut self, bytes: &[u8]) {
        if let Some(matched) = self.matched {
            let expected = &PREFACE[matched..];
            match bytes.len() < expected.len() && expected.starts_with(bytes) {
                true => self.matched = Some(matched + bytes.len()),
                false if bytes.starts_with(expected) => self.speaks(Protocol::Http2),
                false => self.speaks(Protocol::Http1),
            }
        }
        self.pulse.heard();
    }

    fn speaks(&mut self, protocol: Protocol) {
        self.matched = None;
        self.pulse.speaks(protocol);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let new = &buffer.filled()[before..];
        if !new.is_empty() {
            self.heard(new);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
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

    #[tokio::test]
    async fn the_preface_tells_the_versions_apart_in_whatever_parts_it_comes() {
        let (whole, half) = ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n");
        for (parts, protocol) in [
            (&["G"][..], Some(Protocol::Http1)),
            (&["PRX"], Some(Protocol::Http1)),
            (&[half, "GET"], Some(Protocol::Http1)),
            (&[half], None),
            (&[whole], Some(Protocol::Http2)),
            (&[half, "\r\nSM\r\n\r\nmore"], Some(Protocol::Http2)),
        ] {
            let (mut client, server) = duplex(64);
            let pulse = Pulse::new();
            let mut server = Heard::new(server, pulse.clone());
            for part in parts {
                client.write_all(part.as_bytes()).await.unwrap();
                server.read_exact(&mut vec![0; part.len()]).await.unwrap();
            }
            assert_eq!(pulse.protocol(), protocol, "{parts:?}");
        }
    }
}
