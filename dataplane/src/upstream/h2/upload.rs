//! The body of a request on its way from HTTP/1.1 to HTTP/2.

use std::io;

use bytes::Bytes;
use http::HeaderMap;

use crate::http1::{ANY_TRAILER, Body, Form, Framing};

/// What was written of a body, and is to be sent.
#[derive(Default)]
pub(super) struct Upload {
    body: Body,
    /// What was written and is not complete: the size of a chunk, a trailer.
    raw: Vec<u8>,
    /// What is to be sent next.
    pub(super) part: Bytes,
    /// The end is to be sent after it, with these trailers.
    pub(super) ending: bool,
    pub(super) trailers: Option<HeaderMap>,
}

impl Upload {
    /// A body framed so, of which nothing was written.
    pub(super) fn new(framing: Framing) -> Self {
        let mut body = Body::of_request(framing, Form::Data);
        body.announce(ANY_TRAILER);
        Self { body, ..Self::default() }
    }

    /// Takes over bytes of the body, framed as the head says.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        let taken = self.body.take(&mut self.raw).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        self.part = Bytes::copy_from_slice(&self.raw[..taken.ready]);
        self.raw.drain(..taken.consumed);
        if self.body.is_over() {
            (self.ending, self.trailers) = (true, trailers(self.body.trailers()));
        }
        Ok(())
    }
}

/// Trailers from their lines, if there are any.
fn trailers(lines: &[u8]) -> Option<HeaderMap> {
    let fields = lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].try_into().ok()?, line[colon + 1..].trim_ascii().try_into().ok()?))
    });
    let trailers: HeaderMap = fields.collect();
    (!trailers.is_empty()).then_some(trailers)
}
