//! One request: whose it is, whether its client may, which backend takes it, and what is answered.

mod access_log;
mod answer;
mod caller;
mod choose;
mod completion;
mod exchange;
mod forward;
mod gate;
mod grpc;
mod headers;
mod max_forwards;
mod options;
mod outgoing;
mod rate_headers;
mod retry;
pub(crate) mod tunnel;

use std::{net::SocketAddr, rc::Rc, sync::Arc};

pub(crate) use caller::{Caller, CallerGone};
pub(crate) use choose::review;
pub(crate) use completion::Completion;
pub(crate) use exchange::{BodyError, Exchange, LARGE_BYTES};
pub use options::ProxyOptions;
pub(crate) use retry::RetryBudget;

use crate::{
    client::{self, Client},
    clock::{self, Nanos},
    http1::{Fault, Head},
    limiter::Decision,
    metrics::OwnAnswer,
    server::{Deadline, Worker},
    snapshot::Snapshot,
};
use access_log::AccessRecord;
use answer::own_answer;
use forward::{Forward, Forwarded};
use max_forwards::Hops;

/// Answers the requests of one client connection, whatever protocol they came in.
pub(crate) struct Proxy {
    worker: Rc<Worker>,
    peer: SocketAddr,
    /// The peer's ip as it goes into `X-Forwarded-For`.
    peer_ip: Box<str>,
    /// `http` or `https`, as it goes into `X-Forwarded-Proto`.
    scheme: &'static str,
    /// The connection is one too many: that is what its requests are told.
    refuses: bool,
}

/// An answer.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// As HTTP/1.1 has it: status line and fields, but for those of the connection, Date if [`Self::has_date`] is not
    /// set, and the empty line.
    pub(crate) head: Vec<u8>,
    /// There is a Date among the fields.
    pub(crate) has_date: bool,
    /// What follows.
    pub(crate) body: AnswerBody,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// Made by Balancer; its length is among the fields.
    Own(&'static str),
    /// Comes from a backend.
    Backend(Box<Exchange>),
    /// There is none: what follows 101 is another protocol.
    Tunnel(Box<Exchange>),
}

/// An answer, and what must happen once it is over.
pub(crate) type Answered = (Answer, Completion);

impl Proxy {
    pub(crate) fn new(worker: Rc<Worker>, peer: SocketAddr, scheme: &'static str, refuses: bool) -> Self {
        let peer_ip = peer.ip().to_canonical().to_string().into();
        Self { worker, peer, peer_ip, scheme, refuses }
    }

    /// Whether the connection ends with its first answer.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses
    }

    /// Answers one request, whatever becomes of it. By `answer_due` the backend must have answered.
    pub(crate) async fn answer<C: Caller>(&self, head: &Head, caller: &mut C, answer_due: &Arc<Deadline>) -> Answered {
        let (started, mut completion) = self.begin(Some(head));
        let answer = match self.worker.snapshot() {
            _ if self.refuses => self.own_answer(head, OwnAnswer::TooManyConnections),
            Some(snapshot) => {
                self.limit_then_forward(&snapshot, head, caller, answer_due, started, &mut completion).await
            }
            None => self.own_answer(head, OwnAnswer::NoSnapshot),
        };
        self.end(started, answer, completion)
    }

    /// Answers what is not a request that may be forwarded. `head` is what is known of it.
    pub(crate) fn refuse(&self, fault: Fault, head: Option<&Head>) -> Answered {
        let (started, completion) = self.begin(head);
        self.end(started, answer::fault(&self.worker, fault), completion)
    }

    fn begin(&self, head: Option<&Head>) -> (Nanos, Completion) {
        let started = clock::now();
        self.worker.shared.metrics.requests.started();
        let record = self.worker.options.access_log.then(|| AccessRecord::new(self.peer, head));
        (started, Completion::new(self.worker.clone(), record))
    }

    fn end(&self, started: Nanos, answer: Answer, mut completion: Completion) -> Answered {
        self.worker.shared.metrics.requests.answered(answer.status, clock::now().since(started));
        completion.answered(answer.status);
        (answer, completion)
    }

    async fn limit_then_forward<C: Caller>(
        &self,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        caller: &mut C,
        answer_due: &Arc<Deadline>,
        started: Nanos,
        completion: &mut Completion,
    ) -> Answer {
        let client =
            client::identify(&snapshot.client_rules, &snapshot.limits, snapshot.default_limit, head, self.peer);
        completion.client(client.address);
        let decision = match client.limit {
            Some(limit) => Some(self.decide(snapshot, &client, limit, started).await),
            None => None,
        };
        let mut answer = match &decision {
            Some(refused) if !refused.admitted => self.refuse_over_limit(head, &client, refused),
            _ => match max_forwards::count_down(head) {
                Hops::None => answer::last_hop(&self.worker),
                hops => self.forward(snapshot, &client, (head, hops), caller, answer_due, completion).await,
            },
        };
        if let (Some(limit), Some(decision)) = (&client.limit, &decision) {
            rate_headers::put_rate_limit(&mut answer.head, client.kind, limit, decision);
        }
        answer
    }

    fn refuse_over_limit(&self, head: &Head, client: &Client, decision: &Decision) -> Answer {
        self.worker.shared.metrics.requests.refused(client.kind);
        let mut answer = self.own_answer(head, OwnAnswer::OverLimit);
        rate_headers::put_retry_after(&mut answer.head, decision);
        answer
    }

    async fn forward<C: Caller>(
        &self,
        snapshot: &Arc<Snapshot>,
        client: &Client,
        (head, hops): (&Head, Hops),
        caller: &mut C,
        answer_due: &Arc<Deadline>,
        completion: &mut Completion,
    ) -> Answer {
        let forward = Forward {
            worker: &self.worker,
            snapshot,
            client,
            peer: self.peer,
            peer_ip: self.peer_ip.as_bytes(),
            scheme: self.scheme.as_bytes(),
            answer_due,
        };
        match forward.run(head, hops, caller).await {
            Ok(Forwarded { answer, backend }) => {
                completion.backend(backend);
                answer
            }
            // A body that broke off while it was forwarded is the client's fault, whatever the backend made of it.
            Err(reason) => match caller.fault() {
                Some(fault) => answer::fault(&self.worker, fault),
                None => self.own_answer(head, reason),
            },
        }
    }

    fn own_answer(&self, head: &Head, reason: OwnAnswer) -> Answer {
        own_answer(&self.worker, head, reason)
    }
}
