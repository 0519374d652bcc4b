//! A ledger, and data planes that do what they are told at once.

use std::{collections::BTreeMap, time::Duration};

use balancer_proto::v1 as wire;
use controlplane::ledger::{
    Ledger, MemberId, Timing,
    message::{Ask, Client, Holding, Join, Request},
};
use prost::Message;

use crate::cpu::Meter;

/// One data plane's end of its stream.
struct Replica {
    id: MemberId,
    seq: u64,
    acked: u64,
}

/// See the module.
pub(crate) struct Fleet {
    pub(crate) ledger: Ledger,
    pub(crate) now: Duration,
    /// Bytes of messages to the ledger, and from it.
    pub(crate) bytes: (usize, usize),
    /// CPU time of what the ledger did.
    pub(crate) spent: Meter,
    replicas: BTreeMap<usize, Replica>,
}

impl Fleet {
    pub(crate) fn new(replicas: usize) -> Self {
        let ledger = Ledger::new(Timing::default(), 1, []);
        let mut fleet =
            Self { ledger, now: Duration::ZERO, bytes: (0, 0), spent: Meter::default(), replicas: BTreeMap::new() };
        (0..replicas).for_each(|number| fleet.join(number, Vec::new()));
        (0..8).for_each(|_| fleet.round(|_| Vec::new()));
        fleet
    }

    /// A data plane comes, or comes back, with what it holds.
    pub(crate) fn join(&mut self, number: usize, holdings: Vec<Holding>) {
        let (replica_id, now) = (format!("replica-{number}"), self.now);
        let join = Join { replica_id, incarnation: 1, epoch: 1, share: 0.0, holdings, marks_unsure: false };
        let id = self.spent.time(|| self.ledger.join(join, now));
        self.replicas.insert(number, Replica { id, seq: 1, acked: 0 });
        let names = self.ledger.to_remember();
        self.ledger.remembered(&names);
    }

    /// A data plane is never heard of again; or, where its stream's end is noticed, for a while.
    pub(crate) fn leave(&mut self, number: usize, noticed: bool) {
        if let Some(replica) = self.replicas.remove(&number).filter(|_| noticed) {
            self.ledger.disconnected(replica.id);
        }
    }

    /// So much time passes.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.tick();
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now;
        self.spent.time(|| self.ledger.tick(now));
    }

    /// Everyone says something, and hears what there is to say.
    pub(crate) fn round(&mut self, asks: impl Fn(usize) -> Vec<Ask>) {
        self.pass(Timing::default().renew / 8);
        let numbers: Vec<_> = self.replicas.keys().copied().collect();
        for number in &numbers {
            self.say(*number, asks(*number));
        }
        numbers.into_iter().for_each(|number| self.hear(number));
    }

    pub(crate) fn say(&mut self, number: usize, asks: Vec<Ask>) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        replica.seq += 1;
        let request = Request { seq: replica.seq, acked: replica.acked, asks, ..Request::default() };
        self.bytes.0 += to_wire(&request).encoded_len();
        let (id, now) = (replica.id, self.now);
        self.spent.time(|| self.ledger.receive(id, request, now)).unwrap();
    }

    pub(crate) fn hear(&mut self, number: usize) {
        let Some(replica) = self.replicas.get_mut(&number) else { return };
        let (id, now) = (replica.id, self.now);
        if let Some(response) = self.spent.time(|| self.ledger.response(id, now)) {
            replica.acked = response.seq;
            self.bytes.1 += wire::LeaseResponse::from(response).encoded_len();
        }
    }
}

pub(crate) fn client(number: usize) -> Client {
    let key = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Client { key, capacity: 100.0, rate_per_sec: 10.0, revision: 1 }
}

pub(crate) fn ask(number: usize) -> Ask {
    Ask { client: client(number), spent: 0.0, tokens: 0.0, want: 1.0 }
}

fn to_wire(request: &Request) -> wire::LeaseRequest {
    let ask = |ask: &Ask| wire::Ask {
        client: Some(wire::LeaseClient {
            key: ask.client.key,
            capacity: ask.client.capacity,
            rate_per_sec: ask.client.rate_per_sec,
            revision: ask.client.revision,
        }),
        spent: ask.spent,
        tokens: ask.tokens,
        want: ask.want,
    };
    wire::LeaseRequest {
        seq: request.seq,
        acked: request.acked,
        asks: request.asks.iter().map(ask).collect(),
        ..wire::LeaseRequest::default()
    }
}
