//! The body of a request on its way to a backend: what the client sends, streamed, never collected.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::clock::{self, Nanos};

/// A request body. Tells when it last made progress, so that a slow upload is not mistaken for a slow backend.
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    progress: Rc<Cell<Nanos>>,
}

impl RequestBody {
    /// The client's body. `progress` is set to the time whenever a part of it leaves.
    pub(crate) fn new(incoming: Incoming, progress: Rc<Cell<Nanos>>) -> Self {
        Self { incoming: Some(incoming), progress }
    }

    /// No body, for a request that is sent again.
    pub(crate) fn empty() -> Self {
        Self { incoming: None, progress: Rc::default() }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = self.incoming.as_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(incoming).poll_frame(cx);
        if frame.is_ready() {
            self.progress.set(clock::now());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
