use super::{
    message::{Grant, Response, Welcome},
    *,
};
use crate::limit::Limit;

/// A lease, and a ledger that grants everything.
struct Pair {
    lease: Lease,
    table: BucketTable,
    now: Nanos,
    said: u64,
}

const CLIENTS: usize = 10_000;

fn signal(number: u64, first: bool) -> Signal {
    // Spread over the marks, as hashes are.
    let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let client = LeaseClient { key, limit: Limit::new(10.0, 1.0).unwrap(), revision: 1 };
    Signal { client, bucket: key, kind: LimitKind::Client, first: first.then_some(0.0) }
}

impl Pair {
    fn new() -> Self {
        let (table, marks, now) = (BucketTable::new(CLIENTS), Arc::default(), Nanos(8));
        let lease = Lease::new("a".into(), 1, Saved::default(), marks, &table, now);
        Self { lease, table, now, said: 0 }
    }

    fn welcomed() -> Self {
        let mut pair = Self::new();
        pair.lease.begin_stream(&pair.table, pair.now);
        pair.hear(Response {
            welcome: Some(Welcome { epoch: 1, lease_ns: LEASE_NS, renew_ns: RENEW_NS }),
            ..Response::default()
        });
        pair
    }

    fn hear(&mut self, response: Response) {
        self.said += 1;
        self.lease.receive(Response { seq: self.said, ..response }, &self.table, self.now).unwrap();
    }

    fn request_of(&mut self, signal: &Signal) {
        let SharedPlace { bucket, limit, kind } = SharedPlace::of(signal);
        self.table.take_shared(bucket, &limit, kind, self.now, || true);
        self.lease.heard(signal, &self.table, self.now);
    }

    /// Says what there is to say, and is answered.
    fn exchange(&mut self, whole: bool) {
        let Some(request) = self.lease.request(&self.table, self.now) else { return };
        let grant = |ask: &Ask| Grant { key: ask.client.key, tokens: 5.0, whole, retry_ns: 0, remember: None };
        let grants = request.asks.iter().map(grant).collect();
        self.hear(Response { echoed: request.seq, grants, ..Response::default() });
    }

    fn pass(&mut self, ns: u64) {
        self.now = Nanos(self.now.plus(ns).0 & !7);
        self.lease.tick(&self.table, self.now).unwrap();
    }
}

struct SharedPlace {
    bucket: u64,
    limit: Limit,
    kind: LimitKind,
}

impl SharedPlace {
    fn of(signal: &Signal) -> Self {
        Self { bucket: signal.bucket, limit: signal.client.limit, kind: signal.kind }
    }
}

#[test]
fn a_flood_of_clients_is_remembered_within_bounds() {
    let mut pair = Pair::welcomed();
    for number in 0..200_000 {
        pair.request_of(&signal(number, true));
        if number % 100 == 0 {
            pair.pass(1_000_000);
            pair.exchange(true);
        }
        assert!(pair.lease.clients() <= CLIENTS && pair.lease.asks.len() <= CLIENTS);
    }
    assert!(pair.lease.due.len() <= 4 * CLIENTS + DUE_AT_LEAST, "{}", pair.lease.due.len());
    assert!(pair.lease.returns.len() <= CLIENTS, "{}", pair.lease.returns.len());
}

#[test]
fn so_it_is_without_a_ledger_and_who_is_forgotten_does_not_count_as_free() {
    let mut pair = Pair::new();
    for number in 0..50_000 {
        pair.request_of(&signal(number, true));
        assert!(pair.lease.clients() <= CLIENTS);
    }
    assert!(pair.lease.returns.is_empty() && pair.lease.asks.is_empty());
    assert!(pair.lease.marks.contains(signal(0, true).client.key));
}

#[test]
fn a_busy_client_is_looked_at_no_more_often_for_that() {
    let mut pair = Pair::welcomed();
    for _ in 0..10_000 {
        pair.request_of(&signal(1, false));
        pair.exchange(false);
        pair.pass(10_000_000);
    }
    assert!(pair.lease.due.len() <= 4 + DUE_AT_LEAST, "{}", pair.lease.due.len());
}

#[test]
fn a_whole_bucket_that_is_gone_is_said_to_be_before_more_is_asked_for() {
    let mut pair = Pair::welcomed();
    pair.request_of(&signal(1, true));
    pair.exchange(true);
    assert_eq!(pair.lease.whole(), 1);
    pair.table.release(signal(1, true).bucket, LimitKind::Client);
    pair.request_of(&signal(1, true));
    let request = pair.lease.request(&pair.table, pair.now).unwrap();
    assert_eq!((request.returns.len(), request.asks.len(), pair.lease.whole()), (1, 1, 0));
}

#[test]
fn what_goes_back_is_said_as_it_is_then() {
    let mut pair = Pair::welcomed();
    let one = signal(1, true);
    pair.request_of(&one);
    pair.exchange(false);
    pair.lease.give_back(one.client.key, &pair.table, pair.now, |_| 0.0, true);
    let grant = Grant { key: one.client.key, tokens: 3.0, whole: true, retry_ns: 0, remember: None };
    pair.hear(Response { grants: vec![grant], ..Response::default() });
    let request = pair.lease.request(&pair.table, pair.now).unwrap();
    let [returned] = request.returns[..] else { panic!("{request:?}") };
    assert_eq!((returned.tokens, returned.kept, returned.idle), (5.0, 3.0, false));
    assert_eq!((request.acked, pair.lease.whole()), (3, 0));
}

#[test]
fn a_share_that_may_be_spent_is_not_given_again_after_a_restart() {
    for (spent, tokens) in [(false, 5.0), (true, 0.0)] {
        let (table, marks, now) = (BucketTable::new(CLIENTS), Arc::new(MarkBits::default()), Nanos(8));
        let mut lease = Lease::new("a".into(), 1, Saved { share: 0.5, spent }, marks.clone(), &table, now);
        lease.alone(&table);
        let SharedPlace { bucket, limit, kind } = SharedPlace::of(&signal(1, true));
        let key = signal(1, true).client.key;
        let taken = table.take_shared(bucket, &limit, kind, now, || marks.contains(key));
        assert_eq!(taken.need, crate::limiter::Need::First(tokens));
        // Once nobody else refills, it refills by its share.
        let later = now.plus(LEASE_NS + MARGIN_NS + 2_000_000_000);
        let content = table.content(bucket, &limit, kind, later).unwrap();
        assert!(content.tokens >= if spent { 0.9 } else { 4.0 }, "{content:?}");
    }
}
