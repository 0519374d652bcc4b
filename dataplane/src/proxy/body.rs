//! The body of an answer on its way to the client.

use std::{
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
    server::Worker,
    upstream::Upstream,
};

/// A body, and what must happen once the answer is over.
pub(crate) struct ProxyBody {
    kind: Kind,
    /// Ends with the body, however that ends.
    completion: Option<Completion>,
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
        Self { kind: Kind::Full(Some(bytes).filter(|b| !b.is_empty())), completion: None }
    }

    /// What the backend sends.
    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self { kind: Kind::Upstream(body), completion: None }
    }

    pub(super) fn complete_with(&mut self, completion: Completion) {
        self.completion = Some(completion);
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
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
    upstream: Option<Upstream>,
    worker: Rc<Worker>,
    backend_id: u64,
    /// An error that is reported at the next poll, so that what came before it is flushed: a client that sees a broken
    /// message knows more than one that sees none.
    failure: Option<hyper::Error>,
    _in_flight: InFlight,
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        upstream: Upstream,
        worker: Rc<Worker>,
        backend_id: u64,
        in_flight: InFlight,
    ) -> Self {
        Self { incoming, upstream: Some(upstream), worker, backend_id, failure: None, _in_flight: in_flight }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.failure = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => frame,
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        match &mut self.upstream {
            Some(upstream) if frame.is_pending() => {
                // A connection that is finished has put its last word into the channel: ask again either way.
                let _ = upstream.drive(cx);
                Pin::new(&mut self.incoming).poll_frame(cx)
            }
            _ => frame,
        }
    }
}

impl Drop for UpstreamBody {
    /// A body that was read to its end leaves a connection that can be used again; any other is closed with it.
    fn drop(&mut self) {
        if let Some(upstream) = self.upstream.take()
            && self.incoming.is_end_stream()
        {
            self.worker.give_back(self.backend_id, upstream);
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
