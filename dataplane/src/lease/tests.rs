//! A lease by itself: bounds of what it remembers, and what it says when.

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
    assert!(pair.lease.forgotten.len() <= CLIENTS && pair.table.evictions() >= 40_000);
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
fn a_bucket_that_was_broken_up_too_early_is_whole_again_when_the_ledger_says_so() {
    let mut pair = Pair::welcomed();
    let one = signal(1, true);
    pair.request_of(&one);
    pair.exchange(false);
    // There is more to give back than one request takes: what comes meanwhile is not acknowledged by it.
    (0..=MAX_PER_REQUEST as u64).for_each(|n| pair.lease.goes_back(u64::MAX - n, 1.0, true));
    pair.lease.give_back(one.client.key, &pair.table, pair.now, |_| 0.0, true);
    let whole = |tokens| Grant { key: one.client.key, tokens, whole: true, retry_ns: 0, remember: None };
    pair.hear(Response { grants: vec![whole(3.0)], ..Response::default() });
    let request = pair.lease.request(&pair.table, pair.now).unwrap();
    let said = request.returns.iter().find(|returned| returned.key == one.client.key).unwrap();
    assert_eq!((said.kept, request.acked, pair.lease.whole()), (3.0, 1, 0));
    pair.hear(Response { grants: vec![whole(0.0)], ..Response::default() });
    while pair.lease.request(&pair.table, pair.now).is_some_and(|request| !request.returns.is_empty()) {}
    assert_eq!(pair.lease.whole(), 1);
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

/// A data plane that makes its share of tokens, and has had to forget the first of its clients, which has spent its share.
fn crowded_alone() -> (Pair, Signal) {
    let mut pair = Pair::new();
    pair.table.set_terms(Terms { share: 0.5, alone_from: pair.now, ..pair.table.terms() });
    let one = signal(0, true);
    let SharedPlace { bucket, limit, kind } = SharedPlace::of(&one);
    while pair.table.content(bucket, &limit, kind, pair.now).is_none_or(|content| content.tokens >= 1.0) {
        pair.request_of(&one);
    }
    pair.now = Nanos(pair.now.plus(60_000_000_000).0 & !7);
    (1..=CLIENTS as u64).for_each(|number| pair.request_of(&signal(number, true)));
    assert!(!pair.lease.records.contains_key(&one.client.key));
    (pair, one)
}

#[test]
fn who_was_forgotten_has_nothing_from_before_when_it_comes_again() {
    let (mut pair, one) = crowded_alone();
    let SharedPlace { bucket, limit, kind } = SharedPlace::of(&one);
    let marks = pair.lease.marks.clone();
    let taken = pair.table.take_shared(bucket, &limit, kind, pair.now, || marks.contains(one.client.key));
    assert!(!taken.decision.admitted, "{taken:?}");
    // From then on it has its share of the rate again.
    pair.now = Nanos(pair.now.plus(2_000_000_000).0 & !7);
    assert!((pair.table.content(bucket, &limit, kind, pair.now).unwrap().tokens - 1.0).abs() < 1e-6);
}

#[test]
fn the_ledger_hears_of_whom_it_was_not_told_and_is_asked_for_all_marks() {
    let (mut pair, one) = crowded_alone();
    let join = pair.lease.begin_stream(&pair.table, pair.now).join.unwrap();
    let of_one = join.holdings.iter().find(|holding| holding.client.key == one.client.key).unwrap();
    assert_eq!((of_one.tokens, of_one.known, join.marks_unsure), (0.0, false, true));
    let welcome = Some(Welcome { epoch: 1, lease_ns: LEASE_NS, renew_ns: RENEW_NS });
    let marks = Some(message::Marks { full: true, ..message::Marks::default() });
    pair.hear(Response { welcome, marks, ..Response::default() });
    let request = pair.lease.request(&pair.table, pair.now).unwrap();
    let returned = request.returns.iter().find(|returned| returned.key == one.client.key).unwrap();
    assert!(returned.idle && returned.kept == 0.0 && pair.lease.forgotten.is_empty());
    assert!(!pair.lease.begin_stream(&pair.table, pair.now).join.unwrap().marks_unsure);
}

#[test]
fn who_is_forgotten_before_the_ledger_heard_of_it_counts_as_one_that_spent_its_share() {
    let mut pair = Pair::welcomed();
    (0..=CLIENTS as u64).for_each(|number| pair.request_of(&signal(number, true)));
    let forgotten = pair.lease.forgotten.len();
    assert!(forgotten >= CLIENTS / 8, "{forgotten}");
    let (mut asks, mut returns) = (Vec::new(), 0);
    while let Some(request) = pair.lease.request(&pair.table, pair.now) {
        asks.extend(request.asks);
        returns += request.returns.len();
    }
    let spent = asks.iter().filter(|ask| ask.spent == 10.0).count();
    assert_eq!((asks.len(), spent, returns), (CLIENTS + 1, forgotten, forgotten));
    // Until the ledger has answered they are in mind: the stream may break before.
    let told: Vec<u64> = pair.lease.forgotten.keys().copied().collect();
    assert_eq!(told.len(), forgotten);
    let none = |key| Grant { key, tokens: 0.0, whole: false, retry_ns: 0, remember: None };
    pair.hear(Response { grants: told.into_iter().map(none).collect(), ..Response::default() });
    assert!(pair.lease.forgotten.is_empty());
}

#[test]
fn who_was_forgotten_is_told_again_if_the_stream_breaks_before_the_answer() {
    let mut pair = Pair::welcomed();
    (0..=CLIENTS as u64).for_each(|number| pair.request_of(&signal(number, true)));
    let forgotten: Vec<u64> = pair.lease.forgotten.keys().copied().collect();
    while pair.lease.request(&pair.table, pair.now).is_some() {}
    pair.lease.disconnected(&pair.table, pair.now);
    let join = pair.lease.begin_stream(&pair.table, pair.now).join.unwrap();
    for key in forgotten {
        let named: Vec<_> = join.holdings.iter().filter(|holding| holding.client.key == key).collect();
        assert!(matches!(named[..], [holding] if holding.tokens == 0.0 && !holding.known), "{named:?}");
    }
}

#[test]
fn all_marks_of_the_ledger_leave_those_it_has_not_heard_of() {
    let mut pair = Pair::new();
    pair.lease.begin_stream(&pair.table, pair.now);
    (0..=CLIENTS as u64).for_each(|number| pair.request_of(&signal(number, true)));
    let forgotten: Vec<u64> = pair.lease.forgotten.keys().copied().collect();
    assert!(!forgotten.is_empty());
    let welcome = Some(Welcome { epoch: 1, lease_ns: LEASE_NS, renew_ns: RENEW_NS });
    let marks = Some(message::Marks { full: true, ..message::Marks::default() });
    pair.hear(Response { welcome, marks, ..Response::default() });
    assert!(forgotten.iter().all(|key| pair.lease.marks.contains(*key)));
}

#[test]
fn the_share_of_a_client_whose_bucket_gave_way_is_not_given_again() {
    let mut pair = Pair::new();
    pair.table.set_terms(Terms { share: 0.5, ..pair.table.terms() });
    let one = signal(1, true);
    let SharedPlace { bucket, limit, kind } = SharedPlace::of(&one);
    for _ in 0..2 {
        let taken = pair.table.take_shared(bucket, &limit, kind, pair.now, || false);
        let crate::limiter::Need::First(tokens) = taken.need else { panic!("{taken:?}") };
        pair.lease.heard(&Signal { first: Some(tokens), ..one }, &pair.table, pair.now);
        let left = pair.table.content(bucket, &limit, kind, pair.now).unwrap().tokens;
        assert!(left <= 5.0);
        if left > 0.0 {
            // To another client.
            pair.table.release(bucket, kind);
        } else {
            let join = pair.lease.begin_stream(&pair.table, pair.now).join.unwrap();
            assert_eq!(join.holdings[0].tokens, 0.0);
            return;
        }
    }
    panic!("it was given again");
}

#[test]
fn who_is_welcome_makes_no_tokens_of_its_own_for_two_leases_however_late_that_comes() {
    let mut pair = Pair::new();
    pair.lease.begin_stream(&pair.table, pair.now);
    pair.now = Nanos(pair.now.plus(1_000_000_000).0 & !7);
    let welcome = Some(Welcome { epoch: 1, lease_ns: LEASE_NS, renew_ns: RENEW_NS });
    pair.hear(Response { echoed: 1, welcome, ..Response::default() });
    pair.lease.disconnected(&pair.table, pair.now);
    assert_eq!(pair.table.terms().alone_from, pair.now.plus(2 * LEASE_NS + MARGIN_NS));
    assert_eq!(pair.table.terms().valid_until, Nanos(8).plus(LEASE_NS));
}
