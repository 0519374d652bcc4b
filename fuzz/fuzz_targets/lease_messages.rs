//! Messages about tokens, to the ledger and to a data plane: whatever they say and in whatever order they come, they are
//! refused or taken, and no number that is none comes of it.
//!
//! The input is a list of steps: a byte that says what happens, two that say how long the message is, the message.

#![no_main]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use balancer_proto::v1::{LeaseRequest, LeaseResponse};
use controlplane::ledger::{
    Ledger, MemberId, Timing,
    message::{Join, Request},
};
use dataplane::{
    clock::Nanos,
    lease::{Lease, MarkBits, Saved, message::Response},
    limiter::BucketTable,
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// Streams at once.
const STREAMS: u8 = 4;

struct World {
    ledger: Ledger,
    /// Of each stream its member, and the number of its last request.
    streams: BTreeMap<u8, (MemberId, u64)>,
    table: BucketTable,
    lease: Lease,
    /// Number of the last response.
    heard: u64,
    now_ns: u64,
}

impl World {
    fn new() -> Self {
        let table = BucketTable::new(64);
        let (saved, marks) = (Saved { share: 0.5, spent: false }, Arc::new(MarkBits::default()));
        let mut lease = Lease::new("replica".to_owned(), 1, saved, marks, &table, Nanos(0));
        lease.begin_stream(&table, Nanos(0));
        let ledger = Ledger::new(Timing::default(), 2, []);
        Self { ledger, streams: BTreeMap::new(), table, lease, heard: 0, now_ns: 0 }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns)
    }

    fn step(&mut self, what: u8, message: &[u8]) {
        let stream = what / 4 % STREAMS;
        match what % 4 {
            0 => self.up(stream, message),
            1 => self.down(message),
            2 => self.pass(u64::from(what) * message.len() as u64 * 1_000_000),
            _ => self.end(stream),
        }
    }

    /// To the ledger. Numbers of messages are made to fit, so that what is behind them is reached.
    fn up(&mut self, stream: u8, message: &[u8]) {
        let Ok(mut message) = LeaseRequest::decode(message) else { return };
        let now = self.now();
        let (member, seq) = match (self.streams.get(&stream), message.join.take().map(Join::try_from)) {
            (Some((member, seq)), _) => (*member, seq + 1),
            (None, Some(Ok(join))) => (self.ledger.join(join, now), 1),
            (None, _) => return,
        };
        message.seq = seq;
        let Ok(request) = Request::try_from(message) else { return };
        match self.ledger.receive(member, request, now) {
            Ok(()) => drop(self.streams.insert(stream, (member, seq))),
            Err(_) => {
                self.ledger.disconnected(member);
                self.streams.remove(&stream);
            }
        }
    }

    /// To the data plane.
    fn down(&mut self, message: &[u8]) {
        let Ok(mut message) = LeaseResponse::decode(message) else { return };
        message.seq = self.heard + 1;
        let Ok(response) = Response::try_from(message) else { return };
        let now = Nanos(self.now_ns);
        match self.lease.receive(response, &self.table, now) {
            Ok(_) => self.heard += 1,
            Err(_) => self.restart_stream(),
        }
    }

    fn restart_stream(&mut self) {
        let now = Nanos(self.now_ns);
        self.lease.disconnected(&self.table, now);
        self.lease.begin_stream(&self.table, now);
        self.heard = 0;
    }

    fn end(&mut self, stream: u8) {
        if let Some((member, _)) = self.streams.remove(&stream) {
            self.ledger.disconnected(member);
        }
    }

    fn pass(&mut self, ns: u64) {
        // Multiples of 8, as its clock has them.
        self.now_ns += ns & !7;
        let now = self.now();
        self.ledger.tick(now);
        self.ledger.remembered(&self.ledger.to_remember());
        assert!((0.0..=1.0).contains(&self.ledger.factor()), "{}", self.ledger.factor());
        for member in self.ledger.recipients() {
            if let Some(response) = self.ledger.response(member, now) {
                let said = LeaseResponse::from(response);
                assert!(Response::try_from(said.clone()).is_ok(), "{said:?}");
            }
        }
        self.tick_lease();
    }

    fn tick_lease(&mut self) {
        let now = Nanos(self.now_ns);
        if self.lease.tick(&self.table, now).is_err() {
            self.restart_stream();
        }
        if let Some(request) = self.lease.request(&self.table, now) {
            let said = LeaseRequest::from(request);
            assert!(Request::try_from(said.clone()).is_ok(), "{said:?}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (mut world, mut rest) = (World::new(), bytes);
    while let [what, low, high, more @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let (message, after) = more.split_at(length);
        world.step(*what, message);
        rest = after;
    }
    world.pass(1_000_000_000);
});
