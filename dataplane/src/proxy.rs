//! One request: whose it is, whether its client may, which backend takes it, and what is answered.

mod access_log;
mod answer;
mod body;
mod choose;
mod forward;
mod headers;
mod max_forwards;
mod options;
mod outgoing;
mod rate_headers;
mod retry;
mod tunnel;

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;

pub(crate) use choose::review;
pub use options::ProxyOptions;
pub(crate) use rate_headers::ValueArena;
pub(crate) use retry::RetryBudget;

use crate::{
    client::{self, Client},
    clock::{self, Nanos},
    http1::Fault,
    limiter::Decision,
    metrics::OwnAnswer,
    server::{Deadline, Worker},
    snapshot::Snapshot,
};
use access_log::AccessRecord;
use answer::own_answer;
use body::Completion;
pub(crate) use body::ProxyBody;
use forward::{Forward, Forwarded};

/// Answers the requests of one client connection, whatever protocol they came in.
pub(crate) struct Proxy {
    worker: Rc<Worker>,
    peer: SocketAddr,
    /// The peer's ip as it goes into `X-Forwarded-For`.
    peer_ip: HeaderValue,
    /// `http` or `https`, as it goes into `X-Forwarded-Proto`.
    scheme: HeaderValue,
    /// The connection is one too many: that is what its requests are told.
    refuses: bool,
}

/// What a protocol knows about one request.
pub(crate) struct Turn<'a> {
    /// What is wrong with the request, as far as is known; asked again when forwarding it fails.
    pub(crate) fault: &'a dyn Fn() -> Option<Fault>,
    /// By when the backend must have answered.
    pub(crate) answer_due: &'a Arc<Deadline>,
}

impl Proxy {
    pub(crate) fn new(worker: Rc<Worker>, peer: SocketAddr, scheme: &'static str, refuses: bool) -> Self {
        let ip = peer.ip().to_canonical().to_string();
        // The text of an ip is a valid header value.
        let peer_ip = HeaderValue::try_from(ip).unwrap_or(HeaderValue::from_static("unknown"));
        Self { worker, peer, peer_ip, scheme: HeaderValue::from_static(scheme), refuses }
    }

    /// Whether the connection ends with its first answer.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses
    }

    /// Answers one request, whatever becomes of it.
    pub(crate) async fn answer(&self, request: Request<Incoming>, turn: Turn<'_>) -> Response<ProxyBody> {
        let started = clock::now();
        self.worker.shared.metrics.requests.started();
        let record = self.worker.options.access_log.then(|| AccessRecord::new(self.peer, &request));
        let mut completion = Completion::new(self.worker.clone(), record);
        let mut response = match ((turn.fault)(), self.worker.snapshot()) {
            (Some(fault), _) => answer::fault(&self.worker, fault),
            _ if self.refuses => self.own_answer(&request, OwnAnswer::TooManyConnections),
            (None, Some(snapshot)) => {
                self.limit_then_forward(&snapshot, request, &turn, started, &mut completion).await
            }
            (None, None) => self.own_answer(&request, OwnAnswer::NoSnapshot),
        };
        let status = response.status().as_u16();
        self.worker.shared.metrics.requests.answered(status, clock::now().since(started));
        completion.answered(status);
        response.body_mut().complete_with(completion);
        response
    }

    async fn limit_then_forward(
        &self,
        snapshot: &Arc<Snapshot>,
        mut request: Request<Incoming>,
        turn: &Turn<'_>,
        started: Nanos,
        completion: &mut Completion,
    ) -> Response<ProxyBody> {
        let client = client::identify(
            &snapshot.client_rules,
            &snapshot.limits,
            snapshot.default_limit,
            request.headers(),
            self.peer,
        );
        completion.client(client.address);
        let decision =
            client.limit.map(|limit| self.worker.shared.buckets.take(client.key, &limit, client.kind, started));
        let mut response = match &decision {
            Some(refused) if !refused.admitted => self.refuse(&request, &client, refused),
            _ if max_forwards::is_last_hop(&mut request) => Response::new(ProxyBody::full(Bytes::new())),
            _ => self.forward(snapshot, &client, request, turn, completion).await,
        };
        if let (Some(limit), Some(decision)) = (&client.limit, &decision) {
            rate_headers::add_rate_limit(response.headers_mut(), &self.worker.values, client.kind, limit, decision);
        }
        response
    }

    fn refuse(&self, request: &Request<Incoming>, client: &Client, decision: &Decision) -> Response<ProxyBody> {
        self.worker.shared.metrics.requests.refused(client.kind);
        let mut response = self.own_answer(request, OwnAnswer::OverLimit);
        rate_headers::add_retry_after(response.headers_mut(), &self.worker.values, decision);
        response
    }

    async fn forward(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &Client,
        request: Request<Incoming>,
        turn: &Turn<'_>,
        completion: &mut Completion,
    ) -> Response<ProxyBody> {
        let id = answer::request_id(&request);
        let forward = Forward {
            worker: &self.worker,
            snapshot,
            client,
            peer: self.peer,
            peer_ip: &self.peer_ip,
            scheme: &self.scheme,
            answer_due: turn.answer_due,
        };
        match forward.run(request).await {
            Ok(Forwarded { response, backend }) => {
                completion.backend(backend);
                response
            }
            // A body that broke off while it was forwarded is the client's fault, whatever the backend made of it.
            Err(reason) => match (turn.fault)() {
                Some(fault) => answer::fault(&self.worker, fault),
                None => own_answer(&self.worker, id, reason),
            },
        }
    }

    fn own_answer(&self, request: &Request<Incoming>, reason: OwnAnswer) -> Response<ProxyBody> {
        own_answer(&self.worker, answer::request_id(request), reason)
    }
}
