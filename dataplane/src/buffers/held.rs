//! Bytes that were read and are not used up.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BufMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::{BLOCK_BYTES, BLOCK_MARGIN_BYTES, Buffers};
use crate::http1::{Body, Fault};

/// Room that is worth a read.
const MIN_ROOM_BYTES: usize = 4 * 1024;
/// Room for a chunk's size and its line end, in front of the chunk.
const SIZE_LINE_BYTES: usize = 8;
/// Where reads into an empty block begin. A multiple of the length of a cache line: some processors (AMD's Zen 3 and 4) copy fifteen
/// times more slowly to where a page has come 1 to 15 bytes further than the page that is copied, and a socket's bytes
/// often begin with a page, as blocks do.
const LEAD_BYTES: usize = 64;
/// What is left in a block while its owner waits is moved out if it is less than this.
const MAX_REST_BYTES: usize = BLOCK_BYTES / 4;

/// Bytes of a connection: those `ready` to be passed on, and behind them those nobody has looked at, `raw`.
#[derive(Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    start: usize,
    ready: usize,
    raw: usize,
}

impl Held {
    /// What may be passed on.
    pub(crate) fn ready(&self) -> &[u8] {
        &self.bytes[self.start..self.ready]
    }

    /// What nobody has looked at.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.bytes[self.raw..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.ready && self.raw == self.bytes.len()
    }

    /// So much of `ready` is gone.
    pub(crate) fn advance(&mut self, length: usize) {
        self.start += length;
        if self.start == self.ready {
            (self.start, self.ready) = (self.raw, self.raw);
        }
    }

    /// So much of `raw` is gone, a head. Nothing is ready then.
    pub(crate) fn consume(&mut self, length: usize) {
        self.raw += length;
        (self.start, self.ready) = (self.raw, self.raw);
    }

    /// All of it is gone.
    pub(crate) fn discard(&mut self) {
        self.consume(self.raw().len());
    }

    /// Makes ready what `raw` holds of a body. Nothing may be ready before.
    pub(crate) fn decode(&mut self, body: &mut Body) -> Result<(), Fault> {
        let taken = body.take(&mut self.bytes[self.raw..])?;
        (self.start, self.ready) = (self.raw, self.raw + taken.ready);
        self.raw += taken.consumed;
        if taken.ready == 0 {
            (self.start, self.ready) = (self.raw, self.raw);
        }
        Ok(())
    }

    /// Makes a chunk (RFC 9112 section 7.1) of all that is ready, which is all there is. What was in front of it, at
    /// least a size line's length, is overwritten.
    pub(crate) fn frame(&mut self) {
        let (mut line, mut at) = ([0; SIZE_LINE_BYTES], SIZE_LINE_BYTES);
        let mut put = |byte| {
            at -= 1;
            line[at] = byte;
        };
        put(b'\n');
        put(b'\r');
        let mut size = self.ready - self.start;
        while size > 0 {
            put(b"0123456789abcdef"[size % 16]);
            size /= 16;
        }
        let start = self.start - (SIZE_LINE_BYTES - at);
        self.bytes[start..self.start].copy_from_slice(&line[at..]);
        self.bytes.extend_from_slice(b"\r\n");
        (self.start, self.ready, self.raw) = (start, self.bytes.len(), self.bytes.len());
    }

    /// Makes these bytes ready. Nothing may be held before.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        (self.start, self.ready, self.raw) = (0, bytes.len(), bytes.len());
    }

    /// Reads more, but holds at most `most` bytes then. Nothing may be ready before. The number of bytes; 0: there are
    /// no more.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
        buffers: &Buffers,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        self.make_room(buffers);
        let room = most.saturating_sub(self.bytes.len()).max(1);
        let read = poll_read_buf(Pin::new(stream), cx, &mut (&mut self.bytes).limit(room));
        if !matches!(read, Poll::Ready(Ok(1..))) {
            self.settle(buffers);
        }
        read
    }

    /// Moves what is left to the front of a buffer with room behind it, and for a size line before it.
    fn make_room(&mut self, buffers: &Buffers) {
        let rest = self.bytes.len() - self.raw;
        if rest == 0 {
            if self.bytes.capacity() < BLOCK_BYTES {
                buffers.give_back(std::mem::replace(&mut self.bytes, buffers.block()));
            }
            self.bytes.clear();
            self.bytes.resize(LEAD_BYTES, 0);
        } else if self.bytes.capacity() - self.bytes.len() < MIN_ROOM_BYTES.min(BLOCK_BYTES.saturating_sub(rest)) {
            let mut block = buffers.block();
            block.resize(LEAD_BYTES, 0);
            block.extend_from_slice(&self.bytes[self.raw..]);
            buffers.give_back(std::mem::replace(&mut self.bytes, block));
        } else {
            return;
        }
        (self.start, self.ready, self.raw) = (LEAD_BYTES, LEAD_BYTES, LEAD_BYTES);
    }

    /// Gives the buffer back, or if little is left in it, moves that to a small one: its owner is going to wait.
    pub(crate) fn settle(&mut self, buffers: &Buffers) {
        if self.bytes.capacity() < BLOCK_BYTES {
            return;
        }
        let (ready, raw) = (self.ready - self.start, self.bytes.len() - self.raw);
        if ready + raw >= MAX_REST_BYTES {
            return;
        }
        let mut rest = Vec::with_capacity(ready + raw);
        rest.extend_from_slice(&self.bytes[self.start..self.ready]);
        rest.extend_from_slice(&self.bytes[self.raw..]);
        buffers.give_back(std::mem::replace(&mut self.bytes, rest));
        (self.start, self.ready, self.raw) = (0, ready, ready);
    }

    /// What is left, ready or not, in order.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        [&self.bytes[self.start..self.ready], &self.bytes[self.raw..]].concat()
    }
}

const _: () = assert!(SIZE_LINE_BYTES <= LEAD_BYTES && 2 <= BLOCK_MARGIN_BYTES && BLOCK_BYTES <= 0xf_ffff);
