//! The body of an answer on its way to the client.

use std::{
    any::Any,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::access_log::AccessRecord;
use crate::{
    pool::{Backend, InFlight},
    server::{Deadline, Worker},
    traffic::Failure,
    upstream::Upstream,
};

/// A body, and what must happen once the answer is over.
pub(crate) struct ProxyBody {
    kind: Kind,
    /// Ends with the body, however that ends.
    completion: Option<Completion>,
    /// Kept until then.
    held: Option<Box<dyn Any>>,
}

enum Kind {
    /// Made by Balancer.
    Full(Option<Bytes>),
    /// Streamed from a backend.
    Upstream(UpstreamBody),
}

impl ProxyBody {
    /// These bytes.
    pub(super) fn full(bytes: Bytes) -> Self {
        Self { kind: Kind::Full(Some(bytes).filter(|b| !b.is_empty())), completion: None, held: None }
    }

    /// What the backend sends.
    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self { kind: Kind::Upstream(body), completion: None, held: None }
    }

    /// Keeps `value` until the answer is over.
    pub(crate) fn hold(&mut self, value: impl Any) {
        self.held = Some(Box::new(value));
    }

    pub(super) fn complete_with(&mut self, completion: Completion) {
        self.completion = Some(completion);
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        let this = &mut *self;
        let frame = match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Upstream(body) => body.poll_frame(cx),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(completion)) = (&frame, &mut this.completion) {
            completion.sent(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Upstream(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Upstream(body) => body.incoming.size_hint(),
        }
    }
}

/// A backend's body, driving the connection it comes from and giving it back when complete.
pub(super) struct UpstreamBody {
    incoming: Incoming,
    /// `None` once it has been given back.
    source: Option<Source>,
    worker: Rc<Worker>,
    /// An error that is reported at the next poll, so that what came before it is flushed: a client that sees a broken
    /// message knows more than one that sees none.
    failure: Option<BodyError>,
}

/// Where a body comes from.
pub(super) struct Source {
    pub(super) upstream: Upstream,
    pub(super) backend_id: u64,
    pub(super) in_flight: InFlight,
    /// By when the next part must have come.
    pub(super) part_due: Arc<Deadline>,
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The backend closed the connection, or what it sends is no body.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The backend has sent nothing for too long.
    #[error("the backend has sent nothing within the idle time-out")]
    Idle,
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, source: Source, worker: Rc<Worker>) -> Self {
        let mut body = Self { incoming, source: Some(source), worker, failure: None };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Err(error))) => {
                if let Some(source) = &self.source {
                    source.in_flight.state().traffic.failed(Failure::CutOff);
                }
                self.failure = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            frame => frame,
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
        let Some(source) = &mut self.source else { return frame.map_err(BodyError::from) };
        if frame.is_pending() {
            // A connection that is finished has put its last word into the channel: ask again either way.
            let _ = source.upstream.drive(cx);
            frame = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        if frame.is_ready() {
            source.part_due.clear();
            return frame.map_err(BodyError::from);
        }
        if !source.part_due.is_set() {
            source.part_due.set(self.worker.options.backend_idle_timeout);
        }
        source.part_due.poll_passed(cx).map(|()| Some(Err(BodyError::Idle)))
    }

    /// The body was read to its end: the connection can be used again, and the backend has one request less.
    fn give_back(&mut self) {
        if let Some(Source { upstream, backend_id, .. }) = self.source.take() {
            self.worker.give_back(backend_id, upstream);
        }
    }
}

impl Drop for UpstreamBody {
    /// hyper does not ask for the end of a body whose length it knows. A connection whose body was not read to its end
    /// is closed.
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
        if let Some(source) = &self.source {
            source.part_due.clear();
        }
    }
}

/// What happens when an answer is over: it no longer counts as in flight, and it is logged.
pub(crate) struct Completion {
    worker: Rc<Worker>,
    record: Option<Box<AccessRecord>>,
}

impl Completion {
    pub(super) fn new(worker: Rc<Worker>, record: Option<Box<AccessRecord>>) -> Self {
        Self { worker, record }
    }

    pub(super) fn client(&mut self, address: IpAddr) {
        self.note(|r| r.client = Some(address));
    }

    pub(super) fn backend(&mut self, backend: Arc<Backend>) {
        self.note(|r| r.backend = Some(backend));
    }

    pub(super) fn answered(&mut self, status: u16) {
        self.note(|r| r.status = status);
    }

    fn sent(&mut self, bytes: usize) {
        self.note(|r| r.sent_bytes += bytes as u64);
    }

    fn note(&mut self, note: impl FnOnce(&mut AccessRecord)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.worker.shared.metrics.requests.ended();
        if let Some(record) = self.record.take() {
            record.log();
        }
    }
}
