//! The body of a request on its way to a backend: what the client sends, streamed, never collected.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::expect::Held;
use crate::server::Deadline;

/// A request body.
pub(crate) struct RequestBody(Option<Sending>);

struct Sending {
    incoming: Incoming,
    /// When the backend must have answered; counts from the last part of the body that left, so that a slow upload is
    /// not mistaken for a slow backend.
    answer_due: Arc<Deadline>,
    patience: Duration,
    /// Until the backend asks for it.
    held: Option<Held>,
}

impl RequestBody {
    /// The client's body. Sets `answer_due` to `patience` from now whenever a part of it leaves.
    pub(crate) fn new(incoming: Incoming, answer_due: Arc<Deadline>, patience: Duration) -> Self {
        Self(Some(Sending { incoming, answer_due, patience, held: None }))
    }

    /// Keeps it back; false if there is no body.
    pub(super) fn hold(&mut self, held: Held) -> bool {
        self.0.as_mut().map(|sending| sending.held = Some(held)).is_some()
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self(None)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(sending) = self.0.as_mut() else { return Poll::Ready(None) };
        if let Some(held) = &sending.held {
            ready!(held.poll_asked(cx));
            sending.held = None;
        }
        let frame = Pin::new(&mut sending.incoming).poll_frame(cx);
        if frame.is_ready() && sending.answer_due.is_set() {
            sending.answer_due.set(sending.patience);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| sending.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |sending| sending.incoming.size_hint())
    }
}
