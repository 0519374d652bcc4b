//! Forwarding a request: pick a backend, send, and where that is safe try another.

use std::{
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    Answer, AnswerBody,
    caller::{Caller, CallerGone},
    exchange::{self, Exchange},
    headers,
    max_forwards::Hops,
    outgoing::Outgoing,
};
use crate::{
    client::Client,
    clock,
    http1::{Head, ResponseHead},
    metrics::OwnAnswer,
    pool::{Backend, InFlight},
    server::{Deadline, Worker},
    snapshot::Snapshot,
    traffic::Failure,
    upstream::{self, ConnectError, Destination, NoHead, Upstream},
};

/// Most backends one request is tried on.
const MAX_BACKENDS: usize = 3;
/// Most interim answers to one request.
const MAX_INTERIM: usize = 100;

/// Everything about a request that is not in the request.
pub(super) struct Forward<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) client: &'a Client,
    pub(super) peer: SocketAddr,
    pub(super) peer_ip: &'a [u8],
    pub(super) scheme: &'a [u8],
    /// By when the backend must have answered.
    pub(super) answer_due: &'a Arc<Deadline>,
}

/// An answer, and whose it is.
pub(super) struct Forwarded {
    pub(super) answer: Answer,
    pub(super) backend: Arc<Backend>,
}

/// One try that failed.
struct Failed {
    reason: OwnAnswer,
    /// `None`: it was not the backend's fault.
    blame: Option<Failure>,
    /// The request can be sent to another backend.
    again: bool,
}

/// An answer's head, and the connection that its body will come from.
type Answered = (ResponseHead, Upstream);

/// Why a request that was sent has no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("no answer within the response time-out")]
    Late,
    #[error(transparent)]
    NoHead(#[from] NoHead),
    #[error("more interim answers than anybody needs")]
    Babble,
    #[error(transparent)]
    Caller(#[from] CallerGone),
}

impl Forward<'_> {
    /// Forwards a request; an error says what to answer instead.
    pub(super) async fn run<C: Caller>(&self, head: &Head, hops: Hops, caller: &mut C) -> Result<Forwarded, OwnAnswer> {
        let mut outgoing = Outgoing::new(self, head, hops, caller);
        let mut tried = [0; MAX_BACKENDS];
        let mut reason = OwnAnswer::NoBackend;
        let mut next = Some(self.first_place(caller).await?);
        for attempt in 0..MAX_BACKENDS {
            let Some((backend, in_flight)) = next else { break };
            let failure = match self.try_backend(&backend, &mut outgoing, caller).await {
                Ok(answered) => return Ok(self.answer(answered, backend, in_flight, outgoing, caller)),
                Err(failure) => failure,
            };
            (reason, tried[attempt]) = (failure.reason, backend.id);
            if let Some(blame) = failure.blame {
                self.blame(&backend, blame);
            }
            if !failure.again || attempt + 1 == MAX_BACKENDS {
                break;
            }
            // Only a retry that can be made is taken out of the budget.
            next = self.place(&tried[..=attempt]).ok().filter(|_| self.may_retry());
        }
        Err(reason)
    }

    fn may_retry(&self) -> bool {
        let requests = &self.worker.shared.metrics.requests;
        let granted = self.worker.budget.withdraw(clock::now(), requests.started_total());
        if granted {
            requests.retried();
        }
        granted
    }

    /// Sends the request to one backend, on an idle connection if there is one.
    async fn try_backend<C: Caller>(
        &self,
        backend: &Arc<Backend>,
        outgoing: &mut Outgoing,
        caller: &mut C,
    ) -> Result<Answered, Failed> {
        outgoing.name_host(backend.authority.as_str());
        if let Some(idle) = self.worker.take_idle(backend.id) {
            match self.exchange(idle, outgoing, caller).await {
                // The backend may have closed the idle connection just then; a fresh one says whether it is there.
                Err(Failed { reason: OwnAnswer::BadGateway, again: true, .. }) => {
                    self.worker.forget_idle(backend.id);
                }
                done => return done,
            }
        }
        // Boxed: most requests find an idle connection, and should not carry the room for a new one.
        let connecting = Box::pin(upstream::connect(&self.worker.http2, self.destination(backend), outgoing.websocket));
        match connecting.await {
            Ok(fresh) => {
                backend.state.connected(clock::now());
                self.exchange(fresh, outgoing, caller).await
            }
            Err(error) => Err(connect_failed(backend, &error)),
        }
    }

    fn destination(&self, backend: &Arc<Backend>) -> Destination {
        let (tls, limit) = (self.snapshot.backend_tls.clone(), self.worker.options.connect_timeout);
        Destination { backend: backend.clone(), tls, limit }
    }

    /// Sends the request on a connection and waits for the head of the answer.
    async fn exchange<C: Caller>(
        &self,
        mut upstream: Upstream,
        outgoing: &mut Outgoing,
        caller: &mut C,
    ) -> Result<Answered, Failed> {
        self.answer_due.set(self.worker.options.response_timeout);
        outgoing.begin();
        upstream.most_held = caller.part_bytes();
        let mut interim = 0;
        let answer = poll_fn(|cx| {
            let answer = self.poll_answer(cx, &mut upstream, outgoing, caller, &mut interim);
            if answer.is_pending() {
                ready!(self.answer_due.poll_passed(cx));
                return Poll::Ready(Err(NoAnswer::Late));
            }
            answer
        })
        .await;
        self.answer_due.clear();
        match answer {
            Ok(head) if head.status == 101 && !outgoing.websocket => {
                Err(Failed::new(OwnAnswer::BadGateway, Failure::Garbage))
            }
            // What a client asks for is not held against a backend that has no such thing.
            Ok(head) if !caller.understands(head.status, upstream.fields()) => {
                Err(Failed { reason: OwnAnswer::BadGateway, blame: None, again: false })
            }
            Ok(head) => Ok((head, upstream)),
            Err(error) => {
                let failed = Failed::without_answer(&error, outgoing);
                let untouched = upstream.take_back().map(|body| outgoing.take_back(body)).is_some();
                Err(Failed { again: failed.again || untouched, ..failed })
            }
        }
    }

    /// Sends what can be sent, and passes on what comes before the answer.
    fn poll_answer<C: Caller>(
        &self,
        cx: &mut Context<'_>,
        upstream: &mut Upstream,
        outgoing: &mut Outgoing,
        caller: &mut C,
        interim: &mut usize,
    ) -> Poll<Result<ResponseHead, NoAnswer>> {
        let patience = self.worker.options.response_timeout;
        loop {
            outgoing.poll_send(cx, caller, upstream, (self.answer_due, patience))?;
            self.measure_backend_only(outgoing);
            // Who does not listen is told no more: interim answers wait on the backend's connection.
            ready!(caller.poll_told(cx))?;
            let head = ready!(upstream.poll_head(cx, outgoing.is_head, &self.worker.buffers))?;
            if !head.is_interim() {
                return Poll::Ready(Ok(head));
            }
            *interim += 1;
            if *interim > MAX_INTERIM {
                return Poll::Ready(Err(NoAnswer::Babble));
            }
            if head.status == 100 {
                outgoing.release(caller);
            } else if caller.hears_interim() {
                self.pass_on_interim(&head, upstream, caller);
            }
            upstream.held.consume(head.length);
        }
    }

    /// The time for an answer stands still while the client's body does: a client that stops must not look like a
    /// backend that is late.
    fn measure_backend_only(&self, outgoing: &Outgoing) {
        if outgoing.waits_for_caller() {
            self.answer_due.clear();
        } else if !self.answer_due.is_set() {
            self.answer_due.set(self.worker.options.response_timeout);
        }
    }

    fn pass_on_interim<C: Caller>(&self, head: &ResponseHead, upstream: &Upstream, caller: &mut C) {
        let mut interim = self.worker.buffers.sheet();
        headers::write_response(&mut interim, head, upstream.fields());
        interim.extend_from_slice(b"\r\n");
        caller.tell(&interim);
        self.worker.buffers.give_back(interim);
    }

    fn answer<C: Caller>(
        &self,
        (head, upstream): Answered,
        backend: Arc<Backend>,
        in_flight: InFlight,
        outgoing: Outgoing,
        caller: &C,
    ) -> Forwarded {
        self.credit(&backend, head.status);
        let mut sheet = self.worker.buffers.sheet();
        headers::write_response(&mut sheet, &head, upstream.fields());
        let place = exchange::Place { upstream, backend_id: backend.id, in_flight, part_due: self.answer_due.clone() };
        let exchange = Exchange::new(self.worker.clone(), place, outgoing, &head, caller);
        let body = if head.status == 101 { AnswerBody::Tunnel(exchange) } else { AnswerBody::Backend(exchange) };
        Forwarded { answer: Answer { status: head.status, head: sheet, has_date: head.has_date, body }, backend }
    }
}

impl Failed {
    /// A failure after which the request must not be sent again.
    fn new(reason: OwnAnswer, blame: Failure) -> Self {
        Self { reason, blame: Some(blame), again: false }
    }

    fn without_answer(error: &NoAnswer, outgoing: &Outgoing) -> Self {
        tracing::debug!(%error, "no answer from backend");
        match error {
            NoAnswer::Late => Self::new(OwnAnswer::Timeout, Failure::Timeout),
            // The backend did answer, though not in HTTP: it may have done what was asked.
            NoAnswer::Babble | NoAnswer::NoHead(NoHead::Garbage(_)) => {
                Self::new(OwnAnswer::BadGateway, Failure::Garbage)
            }
            NoAnswer::NoHead(NoHead::Closed | NoHead::Broken(_)) => {
                // Perhaps it had enough of a client that stops in the middle: clients must not get backends ejected.
                let blame = (!outgoing.waits_for_caller()).then_some(Failure::Reset);
                Self { reason: OwnAnswer::BadGateway, blame, again: outgoing.may_be_repeated() }
            }
            // A request's body that breaks off is its client's doing.
            NoAnswer::Caller(_) => Self { reason: OwnAnswer::BadRequest, blame: None, again: false },
        }
    }
}

fn connect_failed(backend: &Backend, error: &ConnectError) -> Failed {
    tracing::debug!(backend = %backend.authority, %error, "cannot connect to backend");
    let reason = match error {
        ConnectError::Timeout => OwnAnswer::Timeout,
        ConnectError::Io(_) | ConnectError::Tls(_) | ConnectError::Http2(_) => OwnAnswer::ConnectFailed,
        ConnectError::Exhausted(_) => {
            return Failed { reason: OwnAnswer::TooManyConnections, blame: None, again: false };
        }
    };
    Failed { reason, blame: Some(Failure::Connect), again: true }
}
