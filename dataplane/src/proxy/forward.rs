//! Forwarding a request: pick a backend, send, and where that is safe try another.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::{body::Incoming, upgrade};

use super::{
    body::{ProxyBody, Source, UpstreamBody},
    headers,
    outgoing::Outgoing,
    tunnel,
};
use crate::{
    client::Client,
    clock,
    metrics::OwnAnswer,
    pool::{Backend, InFlight},
    server::{Deadline, Worker},
    snapshot::Snapshot,
    traffic::Failure,
    upstream::{self, ConnectError, Upstream},
};

/// Most backends one request is tried on.
const MAX_BACKENDS: usize = 3;

/// Everything about a request that is not in the request.
pub(super) struct Forward<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) client: &'a Client,
    pub(super) peer: SocketAddr,
    pub(super) peer_ip: &'a HeaderValue,
    pub(super) scheme: &'a HeaderValue,
    /// By when the backend must have answered.
    pub(super) answer_due: &'a Arc<Deadline>,
}

/// An answer, and whose it is.
pub(super) struct Forwarded {
    pub(super) response: Response<ProxyBody>,
    pub(super) backend: Arc<Backend>,
}

/// One try that failed.
struct Failed {
    reason: OwnAnswer,
    /// `None`: it was not the backend's fault.
    blame: Option<Failure>,
    /// The request, where it can be sent to another backend.
    again: Option<Box<Outgoing>>,
}

/// An answer's head on the connection that its body will come from.
type Answered = (Response<Incoming>, Upstream);

impl Forward<'_> {
    /// Forwards a request; an error says what to answer instead.
    pub(super) async fn run(&self, mut request: Request<Incoming>) -> Result<Forwarded, OwnAnswer> {
        let wants_websocket = request.body().is_end_stream() && headers::wants_websocket(&request);
        let websocket = wants_websocket.then(|| upgrade::on(&mut request));
        let mut outgoing = Outgoing::new(self, request, websocket.is_some())?;
        let mut tried = [0; MAX_BACKENDS];
        let mut reason = OwnAnswer::NoBackend;
        let mut next = Some(self.first_place().await?);
        for attempt in 0..MAX_BACKENDS {
            let Some((backend, in_flight)) = next else { break };
            let failure = match self.try_backend(&backend, outgoing).await {
                Ok(answered) => return Ok(self.answer(answered, backend, in_flight, websocket)),
                Err(failure) => failure,
            };
            (reason, tried[attempt]) = (failure.reason, backend.id);
            if let Some(blame) = failure.blame {
                self.blame(&backend, blame);
            }
            let Some(again) = failure.again.filter(|_| attempt + 1 < MAX_BACKENDS) else { break };
            outgoing = *again;
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
    async fn try_backend(&self, backend: &Backend, mut outgoing: Outgoing) -> Result<Answered, Failed> {
        if !outgoing.request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::try_from(backend.authority.as_str())
        {
            outgoing.request.headers_mut().insert(header::HOST, host);
        }
        if let Some(idle) = self.worker.take_idle(backend.id) {
            match self.exchange(idle, outgoing).await {
                // The backend may have closed the idle connection just then; a fresh one says whether it is there.
                Err(Failed { reason: OwnAnswer::BadGateway, again: Some(again), .. }) => {
                    self.worker.forget_idle(backend.id);
                    outgoing = *again;
                }
                done => return done,
            }
        }
        match upstream::connect(backend, &self.snapshot.backend_tls, self.worker.options.connect_timeout).await {
            Ok(fresh) => {
                backend.state.connected(clock::now());
                self.exchange(fresh, outgoing).await
            }
            Err(error) => Err(connect_failed(backend, &error, outgoing)),
        }
    }

    /// Sends the request on a connection and waits for the head of the answer.
    async fn exchange(&self, mut upstream: Upstream, outgoing: Outgoing) -> Result<Answered, Failed> {
        let Outgoing { request, replay, websocket } = outgoing;
        self.answer_due.set(self.worker.options.response_timeout);
        let answer = tokio::select! {
            biased;
            answer = upstream.send(request) => answer,
            () = self.answer_due.passed() => return Err(Failed::new(OwnAnswer::Timeout, Failure::Timeout)),
        };
        self.answer_due.clear();
        match answer {
            Ok(response) if is_sound(&response, websocket) => Ok((response, upstream)),
            Ok(_) => Err(Failed::new(OwnAnswer::BadGateway, Failure::Garbage)),
            Err(error) => {
                tracing::debug!(error = %error.error, "no answer from backend");
                let blame = blame(&error.error);
                Err(Failed { reason: OwnAnswer::BadGateway, blame, again: Outgoing::again(error, replay, websocket) })
            }
        }
    }

    fn answer(
        &self,
        (response, upstream): Answered,
        backend: Arc<Backend>,
        in_flight: InFlight,
        websocket: Option<upgrade::OnUpgrade>,
    ) -> Forwarded {
        self.credit(&backend, response.status().as_u16());
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let tunnel = websocket.filter(|_| switched);
        let (mut parts, incoming) = response.into_parts();
        parts.version = Version::HTTP_11;
        headers::strip_hop_by_hop(&mut parts.headers);
        headers::add_via(&mut parts.headers);
        let body = match tunnel {
            Some(client) => {
                headers::insert_websocket(&mut parts.headers);
                self.worker.shared.metrics.connections.tunnel();
                tunnel::start(self.worker, client, upstream, in_flight);
                ProxyBody::full(bytes::Bytes::new())
            }
            None => {
                let source = Source { upstream, backend_id: backend.id, in_flight, part_due: self.answer_due.clone() };
                ProxyBody::upstream(UpstreamBody::new(incoming, source, self.worker.clone()))
            }
        };
        Forwarded { response: Response::from_parts(parts, body), backend }
    }
}

impl Failed {
    /// A failure after which the request must not be sent again.
    fn new(reason: OwnAnswer, blame: Failure) -> Self {
        Self { reason, blame: Some(blame), again: None }
    }
}

fn connect_failed(backend: &Backend, error: &ConnectError, outgoing: Outgoing) -> Failed {
    tracing::debug!(backend = %backend.authority, %error, "cannot connect to backend");
    let reason = match error {
        ConnectError::Timeout => OwnAnswer::Timeout,
        ConnectError::Io(_) | ConnectError::Tls(_) => OwnAnswer::ConnectFailed,
        ConnectError::Exhausted(_) => {
            return Failed { reason: OwnAnswer::TooManyConnections, blame: None, again: None };
        }
    };
    Failed { reason, blame: Some(Failure::Connect), again: Some(Box::new(outgoing)) }
}

/// What a backend did that hyper calls this. A request's body that breaks off is its client's doing.
fn blame(error: &hyper::Error) -> Option<Failure> {
    match error {
        error if error.is_user() => None,
        error if error.is_parse() => Some(Failure::Garbage),
        _ => Some(Failure::Reset),
    }
}

/// Whether an answer is one that can be passed on. hyper refuses what it cannot parse; this is what it lets pass.
fn is_sound(response: &Response<Incoming>, asked_to_switch: bool) -> bool {
    let (headers, status) = (response.headers(), response.status());
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding_is_sound = match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(coding), None) => lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    coding_is_sound && (status != StatusCode::SWITCHING_PROTOCOLS || asked_to_switch)
}
