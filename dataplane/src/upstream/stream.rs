//! A connection to a backend as bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::h2::Translated;

/// Bytes of HTTP/1.1 to and from a backend. What is written must be flushed: the end of it may be held back.
pub(crate) enum BackendStream {
    /// As they are on the connection.
    Direct(Transport),
    /// Of a request on a connection of HTTP/2.
    Translated(Box<Translated>),
}

/// A connection to a backend.
pub(crate) enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted, to somebody who has proved to be the backend.
    Tls(Box<TlsStream<TcpStream>>),
}

impl BackendStream {
    /// The socket, where its bytes are those of HTTP/1.1.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Direct(Transport::Plain(socket)) => Some(socket),
            Self::Direct(Transport::Tls(_)) | Self::Translated(_) => None,
        }
    }
}

impl Transport {
    /// Whether the backend has chosen HTTP/2 in the handshake.
    pub(crate) fn chose_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// The socket beneath.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Hands reading and writing on to what an enum holds.
macro_rules! each {
    ($enum:ident: $($variant:ident),+) => {
        impl AsyncRead for $enum {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($enum::$variant(inner) => Pin::new(inner).poll_read(cx, buf),)+
                }
            }
        }

        impl AsyncWrite for $enum {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($enum::$variant(inner) => Pin::new(inner).poll_write(cx, bytes),)+
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    $($enum::$variant(inner) => Pin::new(inner).poll_write_vectored(cx, slices),)+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $($enum::$variant(inner) => inner.is_write_vectored(),)+
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($enum::$variant(inner) => Pin::new(inner).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    $($enum::$variant(inner) => Pin::new(inner).poll_shutdown(cx),)+
                }
            }
        }
    };
}

each!(BackendStream: Direct, Translated);
each!(Transport: Plain, Tls);
