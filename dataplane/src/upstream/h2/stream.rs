//! One request on a shared connection, and its answer. Dropping it tells the backend that nobody waits any more.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, Request, Response};
use http_body::Frame;

use super::Lease;

/// A request that was sent, at least its head.
pub(crate) struct Http2Stream {
    /// Until the head of the answer is there.
    answer: Option<ResponseFuture>,
    /// From then on.
    body: Option<RecvStream>,
    /// Until the end of the request.
    upload: Option<SendStream<Bytes>>,
    lease: Lease,
}

/// Why there is no answer, or no end of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The backend has not looked at the request: it can be sent again, whatever it is (RFC 9113 section 8.7).
    #[error("not processed: {0}")]
    NotProcessed(h2::Error),
    /// What the backend sends is not HTTP/2.
    #[error("{0}")]
    Garbage(h2::Error),
    /// The backend, or the connection, broke it off.
    #[error("{0}")]
    Broken(h2::Error),
}

impl From<h2::Error> for Failed {
    fn from(error: h2::Error) -> Self {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        match error {
            // A request that the backend has seen survives its GOAWAY.
            error if error.is_remote() && (refused || error.is_go_away()) => Self::NotProcessed(error),
            error if error.is_library() => Self::Garbage(error),
            error => Self::Broken(error),
        }
    }
}

impl Http2Stream {
    /// Sends the head of a request; `ends`: there is no body.
    pub(crate) fn start(mut lease: Lease, request: Request<()>, ends: bool) -> Result<Self, Failed> {
        // What cannot be sent now was not seen by anybody.
        let (answer, upload) = lease.sender().send_request(request, ends).map_err(Failed::NotProcessed)?;
        Ok(Self { answer: Some(answer), body: None, upload: (!ends).then_some(upload), lease })
    }

    /// Sends a part of the body. Ready once all of it has been taken over; back-pressure until then.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, part: &mut Bytes) -> Poll<Result<(), Failed>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        while !part.is_empty() {
            // Asked for with bytes in hand only: room that is held and not used is taken from the other requests.
            upload.reserve_capacity(part.len());
            if upload.capacity() == 0 {
                match ready!(upload.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(error.into())),
                    None => return Poll::Ready(Err(Failed::Broken(Reason::STREAM_CLOSED.into()))),
                }
            }
            let fits = part.split_to(upload.capacity().min(part.len()));
            upload.send_data(fits, false)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the request, perhaps with trailers.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Failed> {
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        match trailers {
            None => upload.send_data(Bytes::new(), true)?,
            Some(trailers) => upload.send_trailers(trailers)?,
        }
        Ok(())
    }

    /// The head of an answer before the answer, such as 103.
    pub(crate) fn poll_informational(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response<()>>> {
        match &mut self.answer {
            // What is wrong with it is wrong with the answer, too.
            Some(answer) => answer.poll_informational(cx).map(|head| head.and_then(Result::ok)),
            None => Poll::Ready(None),
        }
    }

    /// The head of the answer. Not to be asked for again once it was given.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Failed>> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(Err(Failed::Broken(Reason::STREAM_CLOSED.into())));
        };
        let (head, body) = ready!(Pin::new(answer).poll(cx))?.into_parts();
        (self.answer, self.body) = (None, Some(body));
        Poll::Ready(Ok(Response::from_parts(head, ())))
    }

    /// The next part of the answer's body, or its trailers; `None` at its end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match ready!(body.poll_data(cx)) {
            Some(Ok(data)) => {
                // Who asks for more has taken what there was. It fails only where there is nothing to be told any more.
                let _ = body.flow_control().release_capacity(data.len());
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(Err(error)) => return Poll::Ready(self.ended(Err(error))),
            None => {}
        }
        let trailers = ready!(body.poll_trailers(cx));
        Poll::Ready(self.ended(trailers))
    }

    fn ended(&mut self, how: Result<Option<HeaderMap>, h2::Error>) -> Option<Result<Frame<Bytes>, Failed>> {
        self.body = None;
        match how {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Whether the answer has no (further) body.
    pub(crate) fn is_answered(&self) -> bool {
        self.answer.is_none() && self.body.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    /// The backend did not go on in time; see [`Lease::doubt`].
    pub(crate) fn doubt(&self) {
        self.lease.doubt();
    }
}
