//! A request on its way to a backend: its head, kept until it is answered, and the body behind it, streamed.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    caller::{Caller, CallerGone},
    forward::Forward,
    headers::{self, Changes},
    max_forwards::Hops,
};
use crate::{
    buffers::Buffers,
    http1::{Framing, Head, Name, put_field},
    server::Deadline,
    upstream::Upstream,
};

/// How long a backend is waited for that may never say 100; RFC 9110 section 10.1.1 asks not to wait for ever.
const HUNDRED_PATIENCE: Duration = Duration::from_secs(1);

/// A request that can be sent, perhaps more than once.
pub(super) struct Outgoing {
    head: Vec<u8>,
    /// Bytes of the head that were sent.
    sent: usize,
    /// The beginning of the body, where a backend took it and did nothing with it; goes out before the rest.
    returned: Vec<u8>,
    /// Bytes of that that were sent.
    returned_sent: usize,
    /// Where Host belongs, if there is none.
    host_place: Option<usize>,
    /// It does no harm to send it twice.
    repeatable: bool,
    /// It asks to become a WebSocket.
    pub(super) websocket: bool,
    /// The answer has no body, whatever it says.
    pub(super) is_head: bool,
    state: State,
    /// The body waits until the backend asks for it, or until then.
    held: Option<Arc<Deadline>>,
    waits_for_caller: bool,
}

/// How far the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sending,
    /// All of it is written, but perhaps not sent.
    Flushing,
    Sent,
    /// The backend takes no more of it. It may have answered all the same.
    Refused,
}

impl Outgoing {
    /// Turns a client's request into the proxy's.
    pub(super) fn new(forward: &Forward<'_>, head: &Head, hops: Hops, caller: &impl Caller) -> Self {
        let (facts, worker) = (head.facts(), forward.worker);
        // In HTTP/2 the end of a body of no bytes may be still to come.
        let has_body = facts.framing != Framing::Length(0) || !caller.is_over();
        let websocket = !has_body && head.wants_websocket();
        // HTTP/1.0 does not know it, and without a body it says nothing (RFC 9110 section 10.1.1).
        let expects = facts.expects && !facts.is_http_10 && has_body && !takes_expect_away(head);
        let chunked = facts.framing == Framing::Chunked;
        let max_forwards = if let Hops::Left(hops) = hops { Some(hops) } else { None };
        let forwarded = headers::Forwarded {
            peer: forward.peer_ip,
            peer_trusted: forward.snapshot.client_rules.trusts(forward.peer.ip()),
            scheme: forward.scheme,
        };
        let mut sheet = worker.buffers.sheet();
        let changes = Changes { websocket, chunked, expects, max_forwards };
        let host_place = headers::write_request(&mut sheet, head, &forwarded, changes);
        Self {
            head: sheet,
            sent: 0,
            returned: Vec::new(),
            returned_sent: 0,
            host_place,
            repeatable: !has_body && !websocket && is_idempotent(head.method()),
            websocket,
            is_head: head.method() == b"HEAD",
            state: State::Sending,
            held: expects.then(|| worker.timers.deadline()),
            waits_for_caller: false,
        }
    }

    /// Names the host of a request that names none.
    pub(super) fn name_host(&mut self, host: &str) {
        if let Some(place) = self.host_place.take() {
            let mut line = Vec::new();
            put_field(&mut line, "Host", host.as_bytes());
            self.head.splice(place..place, line);
        }
    }

    /// Whether nothing of it has been sent, or sending it again does no harm.
    pub(super) fn may_be_repeated(&self) -> bool {
        self.sent == 0 || self.repeatable
    }

    /// It is going to be sent on a connection, from its beginning.
    pub(super) fn begin(&mut self) {
        (self.sent, self.returned_sent, self.state) = (0, 0, State::Sending);
    }

    /// The backend has not looked at the request, of whose body it was sent this.
    pub(super) fn take_back(&mut self, mut body: Vec<u8>) {
        body.extend_from_slice(&self.returned[self.returned_sent..]);
        self.returned = body;
    }

    /// What of the body is to be sent next.
    fn body<'a>(&'a self, caller: &'a impl Caller) -> &'a [u8] {
        match &self.returned[self.returned_sent..] {
            [] if self.held.is_none() => caller.ready(),
            returned => returned,
        }
    }

    fn advance(&mut self, caller: &mut impl Caller, sent: usize) {
        if self.returned_sent < self.returned.len() {
            self.returned_sent += sent;
        } else {
            caller.advance(sent);
        }
    }

    /// Whether there is something to do for [`Self::poll_send`].
    pub(super) fn is_on_its_way(&self) -> bool {
        matches!(self.state, State::Sending | State::Flushing)
    }

    /// Whether all of it has been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// Whether the backend has been sent all that is here of the request, and the rest is still to come.
    pub(super) fn waits_for_caller(&self) -> bool {
        self.waits_for_caller
    }

    /// The backend asks for the body.
    pub(super) fn release(&mut self, caller: &mut impl Caller) {
        if self.held.take().is_some() {
            caller.ask();
        }
    }

    /// Sends what can be sent now. Whenever a part leaves, `due` is put off, so that a slow upload is not mistaken for
    /// a slow backend. An error is the caller's.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut impl Caller,
        upstream: &mut Upstream,
        (due, patience): (&Deadline, Duration),
    ) -> Result<(), CallerGone> {
        self.waits_for_caller = false;
        while self.state == State::Sending {
            if self.has_part(caller) {
                match self.poll_part(cx, caller, upstream) {
                    Poll::Ready(Ok(0)) => {}
                    Poll::Ready(Ok(_)) if !due.is_set() => {}
                    Poll::Ready(Ok(_)) => due.set(patience),
                    Poll::Ready(Err(_)) => {
                        self.state = State::Refused;
                        return Ok(());
                    }
                    Poll::Pending => return Ok(()),
                }
                continue;
            }
            match self.poll_body(cx, caller, upstream.plain().is_some()) {
                Poll::Ready(more) => more?,
                Poll::Pending => {
                    self.waits_for_caller = self.held.is_none();
                    // What was written must not wait for what was not.
                    let _ = upstream.poll_flush(cx);
                    return Ok(());
                }
            }
        }
        if self.state == State::Flushing && upstream.poll_flush(cx).is_ready() {
            self.state = State::Sent;
        }
        Ok(())
    }

    /// Whether there is something to be sent.
    fn has_part(&self, caller: &mut impl Caller) -> bool {
        self.sent < self.head.len() || !self.body(caller).is_empty() || caller.piped().is_some()
    }

    /// Sends some of it. The number of bytes of the body.
    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut impl Caller,
        upstream: &mut Upstream,
    ) -> Poll<io::Result<usize>> {
        let (head, body) = (&self.head[self.sent..], self.body(caller));
        if head.is_empty() && body.is_empty() {
            return caller.piped().map_or(Poll::Ready(Ok(0)), |pipe| upstream.poll_empty(cx, pipe));
        }
        let length = ready!(upstream.poll_write(cx, head, body))?;
        let of_head = length.min(head.len());
        self.sent += of_head;
        if length > of_head {
            self.advance(caller, length - of_head);
        }
        Poll::Ready(Ok(length - of_head))
    }

    /// More of the body, once it may be sent.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        caller: &mut impl Caller,
        to_socket: bool,
    ) -> Poll<Result<(), CallerGone>> {
        if caller.is_over() {
            self.state = State::Flushing;
            return Poll::Ready(Ok(()));
        }
        if let Some(held) = &self.held {
            if !held.is_set() {
                held.set(HUNDRED_PATIENCE);
            }
            ready!(held.poll_passed(cx));
            self.release(caller);
            return Poll::Ready(Ok(()));
        }
        caller.poll_more(cx, to_socket)
    }

    /// It will not be sent again: gives up the memory of its head, if that was sent.
    pub(super) fn settle(&mut self, buffers: &Buffers) {
        if self.sent == self.head.len() {
            self.sent = 0;
            buffers.give_back(std::mem::take(&mut self.head));
        }
    }
}

fn takes_expect_away(head: &Head) -> bool {
    head.facts().options.nominates
        && head
            .fields()
            .places
            .iter()
            .any(|field| field.name == Name::Expect && headers::is_nominated(head.fields(), field))
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
}
