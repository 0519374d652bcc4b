//! An answer that has begun: the rest of the request goes to the backend while the body comes from there.

use std::{
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    caller::{Caller, CallerGone},
    outgoing::Outgoing,
};
use crate::{
    http1::{ANY_TRAILER, Body, Fault, Form, ResponseHead},
    pipes::{Pipe, WORTH_BYTES},
    pool::InFlight,
    server::{Deadline, Worker},
    traffic::Failure,
    upstream::{BackendStream, Upstream},
};

/// After a body so large the next is expected to be large too, and not read with its head.
pub(crate) const LARGE_BYTES: u64 = 64 * 1024;

/// What a backend is still to be sent, and what it still sends. Boxed: it is handed on a lot.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    upstream: Upstream,
    outgoing: Outgoing,
    body: Body,
    /// Behind what is ready.
    piped: Option<Pipe>,
    /// Both sockets can be joined by a pipe.
    takes_pipe: bool,
    /// The backend keeps the connection.
    persists: bool,
    backend_id: u64,
    in_flight: InFlight,
    /// By when the next part must have come.
    part_due: Arc<Deadline>,
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The backend's connection is broken.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// The backend closed the connection in the middle.
    #[error("the backend has closed the connection")]
    Closed,
    /// What the backend sends is no body.
    #[error("the backend has sent a malformed chunk")]
    Malformed(Fault),
    /// The backend has sent nothing for too long.
    #[error("the backend has sent nothing within the idle time-out")]
    Idle,
    /// The client has broken off its request.
    #[error(transparent)]
    Caller(#[from] CallerGone),
}

/// Where an exchange takes place.
pub(super) struct Place {
    pub(super) upstream: Upstream,
    pub(super) backend_id: u64,
    pub(super) in_flight: InFlight,
    pub(super) part_due: Arc<Deadline>,
}

impl Exchange {
    /// After the head of an answer, which is done with.
    pub(super) fn new(
        worker: Rc<Worker>,
        place: Place,
        mut outgoing: Outgoing,
        head: &ResponseHead,
        caller: &impl Caller,
    ) -> Box<Self> {
        let Place { mut upstream, backend_id, in_flight, part_due } = place;
        let mut body = Body::of_response(head.framing, caller.form());
        if caller.takes_trailers() {
            body.announce_all(upstream.fields(), head.options);
            if upstream.announces_no_trailers() {
                body.announce(ANY_TRAILER);
            }
        }
        upstream.held.consume(head.length);
        outgoing.settle(&worker.buffers);
        let takes_pipe = caller.takes_pipe() && upstream.plain().is_some();
        upstream.expects_large = takes_pipe && body.left().is_some_and(|left| left >= LARGE_BYTES);
        let persists = head.options.persists(head.is_http_10);
        let piped = None;
        Box::new(Self {
            worker,
            upstream,
            outgoing,
            body,
            piped,
            takes_pipe,
            persists,
            backend_id,
            in_flight,
            part_due,
        })
    }

    /// What can be passed on now.
    pub(crate) fn ready(&self) -> &[u8] {
        self.upstream.held.ready()
    }

    /// So much of that is passed on.
    pub(crate) fn advance(&mut self, length: usize) {
        self.upstream.held.advance(length);
    }

    /// What is to be passed on behind that, in a pipe.
    pub(crate) fn piped(&mut self) -> Option<&mut Pipe> {
        self.piped.take_if(|pipe| pipe.is_empty());
        self.piped.as_mut()
    }

    /// Whether there is something in a pipe.
    pub(crate) fn is_piped(&self) -> bool {
        self.piped.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    /// Gives back memory before a time of waiting.
    pub(crate) fn settle(&mut self) {
        self.upstream.held.settle(&self.worker.buffers);
    }

    /// Whether all of the body was passed on.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_over() && self.ready().is_empty() && !self.is_piped()
    }

    /// The body, as far as it is known.
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// Whether the rest of the body was read, as far as is known.
    pub(crate) fn is_all_here(&self) -> bool {
        self.body.left().is_some_and(|left| left <= self.upstream.held.raw().len() as u64)
    }

    /// Sends what can be sent now of the request.
    ///
    /// # Errors
    /// The rest of it will not come.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>, caller: &mut impl Caller) -> Result<(), CallerGone> {
        if !self.outgoing.is_on_its_way() {
            return Ok(());
        }
        let patience = self.worker.options.backend_idle_timeout;
        self.outgoing.poll_send(cx, caller, &mut self.upstream, (&self.part_due, patience))
    }

    /// Makes more of the body ready, or finds that it is over. Nothing may be ready before.
    ///
    /// # Errors
    /// It breaks off.
    pub(crate) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.poll_any(cx)
    }

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            self.decode()?;
            if !self.ready().is_empty() || self.is_piped() || self.body.is_over() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(0)) if self.body.is_until_close() => self.close(),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.cut_off(BodyError::Closed))),
                Poll::Ready(Ok(_)) => self.part_due.clear(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.cut_off(error.into()))),
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    return Poll::Ready(Err(self.cut_off(BodyError::Idle)));
                }
            }
        }
    }

    /// More of the body, read or in a pipe; 0: the backend has closed its side.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match ready!(self.poll_pipe(cx))? {
            Some(length) => Poll::Ready(Ok(length)),
            None => self.upstream.poll_fill(cx, &self.worker.buffers),
        }
    }

    /// Fills a pipe. `None`: what comes next is to be read. What was read before must be decoded.
    fn poll_pipe(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let worth = self.body.left().filter(|left| self.takes_pipe && *left >= WORTH_BYTES);
        let (Some(left), Some(socket)) = (worth, self.upstream.plain()) else { return Poll::Ready(Ok(None)) };
        self.piped = ready!(self.worker.pipes.poll_fill(cx, socket, left))?;
        let length = self.piped.as_ref().map(Pipe::len);
        self.body.pass(length.unwrap_or_default() as u64);
        Poll::Ready(Ok(length))
    }

    /// What is in the socket behind what is ready goes into a pipe, if that is its way, to be sent together.
    ///
    /// # Errors
    /// The body breaks off.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        match self.poll_pipe(cx) {
            Poll::Ready(Ok(Some(0))) => Err(self.cut_off(BodyError::Closed)),
            Poll::Ready(Err(error)) => Err(self.cut_off(error.into())),
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
        }
    }

    /// Makes ready what is here of the body. Nothing may be ready before.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn decode(&mut self) -> Result<(), BodyError> {
        let held = &mut self.upstream.held;
        if !held.raw().is_empty() && !self.body.is_over() {
            let decoded = held.decode(&mut self.body);
            if let Err(fault) = decoded {
                return Err(self.cut_off(BodyError::Malformed(fault)));
            }
            if self.body.is_until_close() && self.body.form() == Form::Chunked {
                self.upstream.held.frame();
            }
        }
        Ok(())
    }

    /// The backend has closed its side, which ends the body.
    fn close(&mut self) {
        self.body.close();
        self.persists = false;
        if self.body.form() == Form::Chunked {
            self.upstream.held.put(b"0\r\n\r\n");
        }
    }

    /// The backend failed in the middle of its answer.
    fn cut_off(&self, error: BodyError) -> BodyError {
        self.in_flight.state().traffic.failed(Failure::CutOff);
        error
    }

    fn poll_patience(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.part_due.is_set() {
            self.part_due.set(self.worker.options.backend_idle_timeout);
        }
        self.part_due.poll_passed(cx)
    }

    /// The answer is over. The connection is kept if nothing is left of either message.
    pub(crate) fn finish(self: Box<Self>) {
        self.part_due.clear();
        if self.persists && self.is_over() && self.outgoing.is_sent() && self.upstream.held.is_empty() {
            self.worker.give_back(self.backend_id, self.upstream);
        }
    }

    /// After 101: the backend's stream, what was read beyond the head, and what counts it as in flight.
    pub(crate) fn into_tunnel(self: Box<Self>) -> (BackendStream, Vec<u8>, InFlight) {
        let (stream, rest) = self.upstream.into_tunnel();
        (stream, rest, self.in_flight)
    }
}
