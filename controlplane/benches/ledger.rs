//! The ledger at 10 data planes and 100,000 clients in use: time and bytes of what it does all day.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::{hint::black_box, time::Duration};

use balancer_proto::v1 as wire;
use controlplane::ledger::{
    Ledger, MemberId, Timing,
    message::{Ask, Client, Join, Request},
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use prost::Message;

const REPLICAS: u64 = 10;
const CLIENTS: u64 = 100_000;

fn client(number: u64) -> Client {
    let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Client { key, capacity: 100.0, rate_per_sec: 10.0, revision: 1 }
}

/// One data plane's end of its stream, and what went over it.
struct Replica {
    id: MemberId,
    seq: u64,
    acked: u64,
    bytes: usize,
}

/// The ledger, and data planes that do what they are told at once.
struct Fleet {
    ledger: Ledger,
    replicas: Vec<Replica>,
    now: Duration,
}

impl Fleet {
    fn new() -> Self {
        let mut ledger = Ledger::new(Timing::default(), 1, []);
        let join = |number: u64| Join { replica_id: format!("replica-{number}"), incarnation: 1, ..Join::default() };
        let replicas = (0..REPLICAS)
            .map(|number| Replica { id: ledger.join(join(number), Duration::ZERO), seq: 1, acked: 0, bytes: 0 })
            .collect();
        let names = ledger.to_remember();
        ledger.remembered(&names);
        let mut fleet = Self { ledger, replicas, now: Duration::ZERO };
        for _ in 0..8 {
            fleet.round(|_| Vec::new());
        }
        fleet
    }

    /// Everyone says something, and gets its answer. Returns the bytes of it.
    fn round(&mut self, asks: impl Fn(u64) -> Vec<Ask>) -> usize {
        self.now += Duration::from_millis(5);
        self.ledger.tick(self.now);
        let before: usize = self.replicas.iter().map(|replica| replica.bytes).sum();
        for (number, replica) in (0..).zip(&mut self.replicas) {
            replica.seq += 1;
            let request = Request { seq: replica.seq, acked: replica.acked, asks: asks(number), ..Request::default() };
            self.ledger.receive(replica.id, request, self.now).unwrap();
        }
        for replica in &mut self.replicas {
            if let Some(response) = self.ledger.response(replica.id, self.now) {
                replica.acked = response.seq;
                replica.bytes += wire::LeaseResponse::from(response).encoded_len();
            }
        }
        self.replicas.iter().map(|replica| replica.bytes).sum::<usize>() - before
    }

    /// Each client is used by one data plane.
    fn with_whole_clients() -> (Self, usize) {
        let mut fleet = Self::new();
        let mut bytes = 0;
        for chunk in 0..10 {
            bytes += fleet.round(|replica| own(replica, chunk * CLIENTS / 100, CLIENTS / 100));
        }
        (0..4).for_each(|_| bytes += fleet.round(|_| Vec::new()));
        (fleet, bytes)
    }
}

fn ask(number: u64) -> Ask {
    Ask { client: client(number), spent: 0.0, tokens: 0.0, want: 8.0 }
}

fn own(replica: u64, first: u64, count: u64) -> Vec<Ask> {
    (first..first + count).map(|number| ask(number * REPLICAS + replica)).collect()
}

fn ledger(c: &mut Criterion) {
    let (mut fleet, bytes) = Fleet::with_whole_clients();
    println!(
        "{} accounts; {:.1} bytes sent for each to become whole",
        fleet.ledger.accounts(),
        bytes as f64 / CLIENTS as f64
    );
    println!("{} bytes sent in a round of renewals of all", fleet.round(|_| Vec::new()));
    c.bench_function("renew 10 data planes with 100,000 whole clients", |b| {
        b.iter(|| black_box(fleet.round(|_| Vec::new())));
    });
    let mut shared = Fleet::new();
    let all = |_| (0..100).map(ask).collect();
    for _ in 0..4 {
        shared.round(all);
    }
    println!("{:.1} bytes sent for each of 1,000 asks for shared clients", shared.round(all) as f64 / 1000.0);
    c.bench_function("1,000 asks for shared clients, from 10 data planes", |b| {
        b.iter(|| black_box(shared.round(all)));
    });
    c.bench_function("1,000 clients that were free, one data plane each", |b| {
        b.iter_batched_ref(
            Fleet::new,
            |fleet| black_box(fleet.round(|replica| own(replica, 0, 100))),
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, ledger);
criterion_main!(benches);
