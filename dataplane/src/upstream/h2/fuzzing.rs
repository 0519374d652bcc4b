//! The translation between HTTP/1.1 and HTTP/2 without a connection, for the fuzz target `backend_http2`.

use http::{HeaderMap, Request, Response, uri::Scheme};

use super::{
    answer::{self, Frames},
    request,
    upload::Upload,
};
use crate::http1::Framing;

/// A request as a backend of HTTP/2 gets it.
#[derive(Debug)]
pub struct Sent {
    /// Its head.
    pub request: Request<()>,
    /// How its body was framed in HTTP/1.1.
    pub framing: Framing,
    /// Its body, as far as it was there.
    pub data: Vec<u8>,
    /// What follows the body; only once `is_over`.
    pub trailers: Option<HeaderMap>,
    /// The end is sent.
    pub is_over: bool,
}

/// Translates a request whose body is written in pieces of `piece` bytes. `None`: the head cannot be sent, or the body
/// is none.
pub fn send(head: &[u8], body: &[u8], piece: usize) -> Option<Sent> {
    let asked = request::read(head, Scheme::HTTP)?;
    let (mut upload, mut data, mut is_over) = (Upload::new(asked.framing), Vec::new(), false);
    for piece in body.chunks(piece) {
        upload.take(piece).ok()?;
        data.extend_from_slice(&std::mem::take(&mut upload.part));
        is_over |= upload.ending;
    }
    Some(Sent { request: asked.request, framing: asked.framing, data, trailers: upload.trailers, is_over })
}

/// Translates an answer to GET: its head, and the body with its end.
pub fn answer(head: &Response<()>, parts: &[&[u8]], trailers: Option<&HeaderMap>) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let frames: Frames = answer::write_head(&mut out, head, false, false);
    parts.iter().for_each(|part| answer::write_part(&mut body, frames, part));
    answer::write_end(&mut body, frames, trailers);
    (out, body)
}
