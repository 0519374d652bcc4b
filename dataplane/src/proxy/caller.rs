//! Whoever sent a request, in whatever protocol, as forwarding sees him.

use std::task::{Context, Poll};

use crate::{
    http1::{Fault, Fields, Form},
    pipes::Pipe,
};

/// Why nothing more comes from a caller, or goes to him.
#[derive(Debug, thiserror::Error)]
#[error("the client has broken off its request")]
pub(crate) struct CallerGone;

/// The other side of a request while it is being forwarded: gives its body, is told what comes before the answer.
pub(crate) trait Caller {
    /// What of the body can be sent on now, as it goes on the backend's wire.
    fn ready(&self) -> &[u8];

    /// So much of that has been sent.
    fn advance(&mut self, sent: usize);

    /// Whether all of the body has been given out.
    fn is_over(&self) -> bool;

    /// Gives back memory before a time of waiting.
    fn settle(&mut self);

    /// Makes more of the body ready. Nothing may be ready or in a pipe before. An error: the rest will not come.
    /// `to_socket`: it may be in a pipe.
    fn poll_more(&mut self, cx: &mut Context<'_>, to_socket: bool) -> Poll<Result<(), CallerGone>>;

    /// What of the body is to be sent after what is ready, in a pipe.
    fn piped(&mut self) -> Option<&mut Pipe> {
        None
    }

    /// What is wrong with the body, if that is why the rest will not come.
    fn fault(&self) -> Option<Fault>;

    /// The body is wanted: a caller that waits for 100 may be told so.
    fn ask(&mut self);

    /// Whether interim answers mean anything to him.
    fn hears_interim(&self) -> bool;

    /// An interim answer, as it goes on the wire.
    fn tell(&mut self, interim: &[u8]);

    /// Ready when he has been told everything.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallerGone>>;

    /// How he takes a body whose length is not known.
    fn form(&self) -> Form;

    /// How much of an answer waits for him at most, bytes.
    fn part_bytes(&self) -> usize;

    /// Whether what he is sent may come out of a pipe.
    fn takes_pipe(&self) -> bool {
        false
    }

    /// Whether an answer with this head is one to what he asked for.
    fn understands(&self, _status: u16, _fields: Fields<'_>) -> bool {
        true
    }

    /// Whether he can be sent trailers.
    fn takes_trailers(&self) -> bool;
}
