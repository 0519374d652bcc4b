//! Bodies that are made as they are sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, interval};

/// Any body this server answers with.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes per frame of [`Filler`].
const CHUNK_BYTES: usize = 16 * 1024;

/// What [`Filler`] repeats: position modulo 16 as a hexadecimal digit, so that a lost or doubled byte shows.
static PATTERN: [u8; CHUNK_BYTES] = pattern();

const fn pattern() -> [u8; CHUNK_BYTES] {
    let mut bytes = [0; CHUNK_BYTES];
    let mut i = 0;
    while i < CHUNK_BYTES {
        bytes[i] = b"0123456789abcdef"[i % 16];
        i += 1;
    }
    bytes
}

/// A whole body.
pub(crate) fn full(content: impl Into<Bytes>) -> AnyBody {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// `len` bytes of a known pattern, length announced.
pub(crate) fn filler(len: u64) -> AnyBody {
    Filler { left: len }.boxed_unsync()
}

/// `count` lines of text, one every `pause`, length not announced.
pub(crate) fn ticks(count: u32, pause: Duration) -> AnyBody {
    // An interval of zero panics; a nanosecond is as good.
    let interval = interval(pause.max(Duration::from_nanos(1)));
    Ticks { sent: 0, count, interval }.boxed_unsync()
}

struct Filler {
    left: u64,
}

impl Body for Filler {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let len = usize::try_from(self.left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        self.left -= len as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PATTERN[..len])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Ticks {
    sent: u32,
    count: u32,
    interval: Interval,
}

impl Body for Ticks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.sent == self.count {
            return Poll::Ready(None);
        }
        ready!(self.interval.poll_tick(cx));
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(format!("chunk {}\n", self.sent).into()))))
    }
}
