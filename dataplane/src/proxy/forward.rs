//! Forwarding a request: pick a backend, send, and where that is safe try another.

use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request};
use http_body::Body;
use hyper::{body::Incoming, upgrade};
use tokio::time::sleep;

use super::{
    body::{ProxyBody, UpstreamBody},
    headers, tunnel,
};
use crate::{
    client::Client,
    clock::{self, Nanos},
    metrics::OwnAnswer,
    pool::{Backend, InFlight},
    server::Worker,
    snapshot::Snapshot,
    upstream::{self, ConnectError, RequestBody, SendError, Upstream},
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
}

/// An answer, and whose it is.
pub(super) struct Forwarded {
    pub(super) response: Response<ProxyBody>,
    pub(super) backend: Arc<Backend>,
}

/// A request that can be sent, perhaps more than once.
struct Outgoing {
    request: Request<RequestBody>,
    /// The head, kept where sending the request twice does no harm.
    replay: Option<request::Parts>,
    /// When a part of the body last left.
    progress: Rc<Cell<Nanos>>,
}

/// One try that failed.
struct Failure {
    reason: OwnAnswer,
    /// The request, where it can be sent to another backend.
    again: Option<Box<Outgoing>>,
}

/// An answer's head on the connection that its body will come from.
type Answered = (Response<Incoming>, Upstream);

impl Forward<'_> {
    /// Forwards a request; an error says what to answer instead.
    pub(super) async fn run(&self, mut request: Request<Incoming>) -> Result<Forwarded, OwnAnswer> {
        let websocket = headers::wants_websocket(&request).then(|| upgrade::on(&mut request));
        let mut outgoing = self.outgoing(request, websocket.is_some())?;
        let mut tried = [0; MAX_BACKENDS];
        let mut reason = OwnAnswer::NoBackend;
        for attempt in 0..MAX_BACKENDS {
            let Some(backend) = self.pick(&tried[..attempt]) else { break };
            let in_flight = backend.state.begin();
            let failure = match self.try_backend(&backend, outgoing).await {
                Ok(answered) => return Ok(self.answer(answered, backend, in_flight, websocket)),
                Err(failure) => failure,
            };
            (reason, tried[attempt]) = (failure.reason, backend.id);
            match failure.again {
                Some(again) if attempt + 1 < MAX_BACKENDS && self.may_retry() => outgoing = *again,
                _ => break,
            }
        }
        Err(reason)
    }

    fn pick(&self, tried: &[u64]) -> Option<Arc<Backend>> {
        self.snapshot.pool.pick(self.client.stable_hash, self.worker.random(), clock::now(), tried).cloned()
    }

    fn may_retry(&self) -> bool {
        let requests = &self.worker.shared.metrics.requests;
        let granted = self.worker.budget.withdraw(clock::now(), requests.started_total());
        if granted {
            requests.retried();
        }
        granted
    }

    /// The request as it goes to a backend.
    fn outgoing(&self, request: Request<Incoming>, websocket: bool) -> Result<Outgoing, OwnAnswer> {
        let (mut parts, body) = request.into_parts();
        origin_form(&mut parts)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        // hyper answers `Expect: 100-continue` itself, when the body is first asked for.
        parts.headers.remove(header::EXPECT);
        headers::strip_hop_by_hop(&mut parts.headers);
        let peer_trusted = self.snapshot.client_rules.trusts(self.peer.ip());
        headers::add_forwarded(&mut parts.headers, &headers::Forwarded { peer: self.peer_ip, peer_trusted });
        if websocket {
            headers::insert_websocket(&mut parts.headers);
        }
        let replay = (body.is_end_stream() && is_idempotent(&parts.method) && !websocket).then(|| parts.clone());
        let progress = Rc::new(Cell::new(clock::now()));
        let request = Request::from_parts(parts, RequestBody::new(body, progress.clone()));
        Ok(Outgoing { request, replay, progress })
    }

    /// Sends the request to one backend, on an idle connection if there is one.
    async fn try_backend(&self, backend: &Backend, mut outgoing: Outgoing) -> Result<Answered, Failure> {
        if !outgoing.request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::try_from(backend.authority.as_str())
        {
            outgoing.request.headers_mut().insert(header::HOST, host);
        }
        if let Some(idle) = self.worker.take_idle(backend.id) {
            match self.exchange(idle, outgoing).await {
                // The backend may have closed the idle connection just then; a fresh one says whether it is there.
                Err(Failure { reason: OwnAnswer::BadGateway, again: Some(again) }) => {
                    self.worker.forget_idle(backend.id);
                    outgoing = *again;
                }
                done => return done,
            }
        }
        match upstream::connect(&backend.authority, self.worker.options.connect_timeout).await {
            Ok(fresh) => {
                backend.state.connected();
                self.exchange(fresh, outgoing).await
            }
            Err(error) => Err(self.connect_failed(backend, &error, outgoing)),
        }
    }

    fn connect_failed(&self, backend: &Backend, error: &ConnectError, outgoing: Outgoing) -> Failure {
        backend.state.connect_failed(clock::now());
        tracing::debug!(backend = %backend.authority, %error, "cannot connect to backend");
        let reason = match error {
            ConnectError::Timeout => OwnAnswer::Timeout,
            ConnectError::Io(_) => OwnAnswer::ConnectFailed,
        };
        Failure { reason, again: Some(Box::new(outgoing)) }
    }

    /// Sends the request on a connection and waits for the head of the answer.
    async fn exchange(&self, mut upstream: Upstream, outgoing: Outgoing) -> Result<Answered, Failure> {
        let Outgoing { request, replay, progress } = outgoing;
        progress.set(clock::now());
        let answer = tokio::select! {
            biased;
            answer = upstream.send(request) => answer,
            () = self.too_slow(&progress) => return Err(Failure { reason: OwnAnswer::Timeout, again: None }),
        };
        answer.map(|response| (response, upstream)).map_err(|error| {
            tracing::debug!(error = %error.error, "no answer from backend");
            Failure { reason: OwnAnswer::BadGateway, again: again(error, replay, progress) }
        })
    }

    /// Done when nothing of the request's body has left for the response time-out.
    async fn too_slow(&self, progress: &Cell<Nanos>) {
        let limit = self.worker.options.response_timeout;
        loop {
            let quiet = std::time::Duration::from_nanos(clock::now().since(progress.get()));
            match limit.checked_sub(quiet) {
                Some(left) if !left.is_zero() => sleep(left).await,
                _ => return,
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
        backend.state.traffic.answered(response.status().as_u16());
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
                ProxyBody::upstream(UpstreamBody::new(incoming, upstream, self.worker.clone(), backend.id, in_flight))
            }
        };
        Forwarded { response: Response::from_parts(parts, body), backend }
    }
}

/// What is left of a request that got no answer: itself if it never left, or its copy.
fn again(error: SendError, replay: Option<request::Parts>, progress: Rc<Cell<Nanos>>) -> Option<Box<Outgoing>> {
    if error.error.is_parse() {
        // The backend did answer, though not in HTTP: it may have done what was asked.
        return None;
    }
    if let Some(request) = error.unsent {
        return Some(Box::new(Outgoing { request, replay, progress }));
    }
    let parts = replay?;
    let request = Request::from_parts(parts.clone(), RequestBody::empty());
    Some(Box::new(Outgoing { request, replay: Some(parts), progress }))
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

/// Turns an absolute-form target into origin-form, its authority into Host (RFC 9112 section 3.2.2). Bytes of path and
/// query stay as they are.
fn origin_form(parts: &mut request::Parts) -> Result<(), OwnAnswer> {
    if parts.method == Method::CONNECT {
        return Err(OwnAnswer::BadRequest);
    }
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| OwnAnswer::BadRequest)?;
        parts.headers.insert(header::HOST, host);
        parts.uri = match parts.uri.path_and_query() {
            Some(path_and_query) => Uri::from(path_and_query.clone()),
            None => Uri::from_static("/"),
        };
    }
    Ok(())
}
