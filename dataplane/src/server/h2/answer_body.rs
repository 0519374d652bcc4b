//! The body of an answer as hyper asks for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Active, caller::Http2Caller, lines};
use crate::{
    proxy::{AnswerBody, BodyError, Completion, Exchange},
    server::Deadline,
};

/// A body, and what must happen once the answer is over.
pub(super) struct HttpBody {
    kind: Kind,
    /// Ends with the body, however that ends.
    completion: Completion,
    active: Active,
    /// By when the client must have taken what was given last.
    taken_by: Arc<Deadline>,
}

enum Kind {
    /// Nothing is left.
    Over,
    /// Made by Balancer.
    Own(&'static str),
    /// Streamed from a backend, while the rest of the request goes there.
    Backend(Box<Exchange>, Box<Http2Caller>),
}

impl HttpBody {
    pub(super) fn new(
        body: AnswerBody,
        is_head: bool,
        mut caller: Http2Caller,
        mut completion: Completion,
        (active, taken_by): (Active, Arc<Deadline>),
    ) -> Self {
        caller.is_answered();
        let kind = match body {
            AnswerBody::Own(text) if is_head || text.is_empty() => Kind::Over,
            AnswerBody::Own(text) => {
                completion.sent(text.len() as u64);
                Kind::Own(text)
            }
            AnswerBody::Backend(exchange) if exchange.is_over() => {
                exchange.finish();
                Kind::Over
            }
            AnswerBody::Backend(exchange) => Kind::Backend(exchange, Box::new(caller)),
            // HTTP/2 has no Upgrade: none was asked for.
            AnswerBody::Tunnel(_) => Kind::Over,
        };
        Self { kind, completion, active, taken_by }
    }

    /// The answer was read to its end.
    fn finish(&mut self) {
        if let Kind::Backend(exchange, _) = std::mem::replace(&mut self.kind, Kind::Over) {
            exchange.finish();
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        let (exchange, caller) = match &mut self.kind {
            Kind::Over => return Poll::Ready(None),
            Kind::Own(text) => {
                let bytes = Bytes::from_static(text.as_bytes());
                self.kind = Kind::Over;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Kind::Backend(exchange, caller) => (exchange, caller),
        };
        exchange.poll_upload(cx, &mut **caller)?;
        if exchange.ready().is_empty() && !exchange.is_over() {
            ready!(exchange.poll_part(cx))?;
        }
        let part = Bytes::copy_from_slice(exchange.ready());
        exchange.advance(part.len());
        exchange.settle();
        self.completion.sent(exchange.body().data_bytes());
        if !part.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let mut trailers = HeaderMap::new();
        lines::append(&mut trailers, exchange.body().trailers());
        self.finish();
        Poll::Ready((!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers))))
    }
}

/// A part of the body, or its end.
type PolledFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Body for HttpBody {
    type Data = Bytes;
    type Error = BodyError;

    /// hyper asks when the client has room for more.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        self.taken_by.clear();
        let polled = self.poll_part(cx);
        if let Poll::Ready(Some(_)) = polled {
            self.taken_by.set(self.active.patience());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Over => true,
            Kind::Own(_) => false,
            Kind::Backend(exchange, _) => exchange.is_over() && exchange.body().trailers().is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Over => SizeHint::with_exact(0),
            Kind::Own(text) => SizeHint::with_exact(text.len() as u64),
            Kind::Backend(exchange, _) => {
                let left = exchange.body().left().map(|left| left + exchange.ready().len() as u64);
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

impl Drop for HttpBody {
    /// hyper does not ask for the end of a body that it knows to be over.
    fn drop(&mut self) {
        if matches!(&self.kind, Kind::Backend(exchange, _) if exchange.is_over()) {
            self.finish();
        }
    }
}
