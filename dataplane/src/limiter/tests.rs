use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proptest::{collection::vec, prelude::*};

use super::*;

const SECOND: u64 = Nanos::SECOND.0;

fn limit(capacity: f64, rate_per_sec: f64) -> Limit {
    Limit::new(capacity, rate_per_sec).unwrap()
}

/// Spreads small numbers over all keys, as hashing client names does.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn admitted(table: &BucketTable, key: u64, limit: &Limit, now: u64) -> bool {
    table.take(key, limit, LimitKind::Client, Nanos(now)).admitted
}

/// Runs `work(thread)` in `threads` threads that start at once.
fn in_threads(threads: u64, work: impl Fn(u64) + Sync) {
    let start = Barrier::new(threads as usize);
    thread::scope(|scope| {
        for number in 0..threads {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(number);
            });
        }
    });
}

#[test]
fn a_burst_is_exact_and_a_token_comes_when_due() {
    let (table, limit) = (BucketTable::new(100), limit(5.0, 0.1));
    let decisions: Vec<_> = (0..6).map(|_| table.take(1, &limit, LimitKind::Default, Nanos(SECOND))).collect();
    let remaining: Vec<_> = decisions.iter().map(|decision| decision.remaining).collect();
    assert_eq!(remaining, [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]);
    assert!(decisions[..5].iter().all(|decision| decision.admitted && decision.wait.is_none()));
    assert_eq!(decisions[4].reset, Some(50 * SECOND));
    assert_eq!((decisions[5].admitted, decisions[5].wait), (false, Some(10 * SECOND)));
    assert!(!table.take(1, &limit, LimitKind::Default, Nanos(11 * SECOND - 1000)).admitted);
    assert!(table.take(1, &limit, LimitKind::Default, Nanos(11 * SECOND)).admitted);
    assert!(!table.take(1, &limit, LimitKind::Default, Nanos(11 * SECOND)).admitted);
}

#[test]
fn of_who_is_not_free_there_is_what_was_made_of_the_share_since_nobody_else_refills() {
    let (table, limit) = (BucketTable::new(100), limit(10.0, 2.0));
    table.set_terms(Terms { alone_from: Nanos(10 * SECOND), share: 0.5, ..Terms::NONE });
    let admitted = |key, now| {
        let take = || table.take_shared(key, &limit, LimitKind::Client, Nanos(now), || true);
        (0..20).filter(|_| take().decision.admitted).count()
    };
    assert_eq!(admitted(1, 10 * SECOND), 0);
    assert_eq!(admitted(2, 13 * SECOND + SECOND / 2), 3, "one for each second, half a token is left");
    assert_eq!(admitted(2, 14 * SECOND), 1);
    assert_eq!(admitted(3, 1000 * SECOND), 5, "never more than its share of the burst");
}

#[test]
fn kinds_and_keys_have_buckets_of_their_own() {
    let (table, limit) = (BucketTable::new(100), limit(1.0, 0.0));
    for (key, kind) in
        [(0, LimitKind::Default), (0, LimitKind::Client), (1, LimitKind::Default), (u64::MAX, LimitKind::Client)]
    {
        assert!(table.take(key, &limit, kind, Nanos(0)).admitted);
        assert!(!table.take(key, &limit, kind, Nanos(0)).admitted);
    }
    assert_eq!((table.len(), table.evictions()), (4, 0));
    assert_eq!(table.tokens(0, &limit, LimitKind::Client, Nanos(0)), Some(0.0));
    assert_eq!(table.tokens(2, &limit, LimitKind::Client, Nanos(0)), None);
}

#[test]
fn time_that_goes_back_gives_nothing() {
    let (table, limit) = (BucketTable::new(1), limit(1.0, 1.0));
    assert!(admitted(&table, 1, &limit, 10 * SECOND));
    assert!(!admitted(&table, 1, &limit, 5 * SECOND));
    assert!(!admitted(&table, 1, &limit, 11 * SECOND - 1000));
    assert!(admitted(&table, 1, &limit, 11 * SECOND));
}

#[test]
fn a_changed_limit_keeps_the_tokens_and_refills_nobody() {
    let (table, slow, fast) = (BucketTable::new(1), limit(10.0, 0.0), limit(1000.0, 1000.0));
    (0..8).for_each(|_| assert!(admitted(&table, 1, &slow, 0)));
    table.retune(1, Some(&slow), &fast, Nanos(3600 * SECOND));
    assert_eq!(table.tokens(1, &fast, LimitKind::Client, Nanos(3600 * SECOND)), Some(2.0));
    assert_eq!(table.tokens(1, &fast, LimitKind::Client, Nanos(3601 * SECOND)), Some(1000.0));
    table.retune(1, Some(&fast), &slow, Nanos(3601 * SECOND));
    assert_eq!(table.tokens(1, &slow, LimitKind::Client, Nanos(9999 * SECOND)), Some(10.0));
}

#[test]
fn what_was_gathered_before_a_change_stays() {
    let (table, before, after) = (BucketTable::new(1), limit(5.0, 1.0), limit(50.0, 0.0));
    (0..5).for_each(|_| assert!(admitted(&table, 1, &before, 0)));
    table.retune(1, Some(&before), &after, Nanos(3 * SECOND));
    assert_eq!(table.tokens(1, &after, LimitKind::Client, Nanos(100 * SECOND)), Some(3.0));
}

#[test]
fn a_changed_default_reaches_every_bucket_under_it_and_no_other() {
    let (table, before, after) = (BucketTable::new(1000), limit(5.0, 0.0), limit(3.0, 0.0));
    for key in 0..500 {
        table.take(spread(key), &before, LimitKind::Default, Nanos(0));
        table.take(spread(key), &before, LimitKind::Client, Nanos(0));
    }
    table.retune_default(Some(&before), Some(&after), Nanos(1));
    table.retune_default(Some(&after), None, Nanos(2));
    for key in 0..500 {
        assert_eq!(table.tokens(spread(key), &before, LimitKind::Default, Nanos(5)), Some(3.0));
        assert_eq!(table.tokens(spread(key), &before, LimitKind::Client, Nanos(5)), Some(4.0));
    }
}

#[test]
fn full_buckets_give_way_uncounted_and_others_counted() {
    let (table, limit) = (BucketTable::new(SLOTS_PER_GROUP / 2), limit(10.0, 1.0));
    let slots = SLOTS_PER_GROUP as u64;
    for key in 0..slots {
        assert!(admitted(&table, key, &limit, key));
    }
    assert!(admitted(&table, slots, &limit, 3 * SECOND));
    assert_eq!((table.len(), table.evictions()), (SLOTS_PER_GROUP, 0));
    // All others are full by now as well; use them up, so that nobody is.
    (0..=slots).for_each(|key| (0..5).for_each(|_| assert!(admitted(&table, key, &limit, 3 * SECOND))));
    let evictions = table.evictions();
    assert!(admitted(&table, slots + 1, &limit, 3 * SECOND));
    assert_eq!((table.len(), table.evictions()), (SLOTS_PER_GROUP, evictions + 1));
}

#[test]
fn a_lowered_rate_puts_eviction_off() {
    let (table, fast, slow) = (BucketTable::new(1), limit(10.0, 10.0), limit(10.0, 0.0));
    assert!(admitted(&table, 0, &fast, 0));
    table.retune(0, Some(&fast), &slow, Nanos(0));
    // Two groupfuls of others pass through; each is full again after a second.
    for key in 1..2 * SLOTS_PER_GROUP as u64 {
        assert!(admitted(&table, key, &fast, key * SECOND));
    }
    assert_eq!((table.tokens(0, &slow, LimitKind::Client, Nanos(u64::MAX)), table.evictions()), (Some(9.0), 0));
}

#[test]
fn it_holds_as_many_clients_as_it_promises() {
    let (table, limit) = (BucketTable::new(20_000), limit(2.0, 0.0));
    for number in 0..20_000 {
        assert!(admitted(&table, spread(number), &limit, 0));
    }
    assert_eq!(table.len() as u64 + table.evictions(), 20_000);
    assert!(table.evictions() < 20_000 / 200, "{}", table.evictions());
    assert!(table.bytes() / table.max_clients() <= 41);
}

#[test]
fn threads_that_hammer_one_key_get_exactly_its_burst() {
    let (table, limit, total) = (BucketTable::new(1000), limit(10_000.0, 0.0), AtomicU64::new(0));
    in_threads(8, |_| {
        let mine = (0..5000).filter(|now| admitted(&table, 42, &limit, *now)).count();
        total.fetch_add(mine as u64, Ordering::Relaxed);
    });
    assert_eq!((total.into_inner(), table.len()), (10_000, 1));
}

#[test]
fn threads_that_meet_new_keys_at_once_make_one_bucket_of_each() {
    let (table, limit) = (BucketTable::new(10_000), limit(3.0, 0.0));
    let totals: Vec<_> = (0..4000).map(|_| AtomicU64::new(0)).collect();
    in_threads(4, |thread| {
        for step in 0..totals.len() * 2 {
            let index = if thread % 2 == 0 { step } else { 3 * totals.len() - step } % totals.len();
            totals[index].fetch_add(u64::from(admitted(&table, spread(index as u64), &limit, 0)), Ordering::Relaxed);
        }
    });
    assert!(totals.iter().all(|total| total.load(Ordering::Relaxed) == 3));
    assert_eq!((table.len(), table.evictions()), (4000, 0));
}

#[test]
fn threads_that_evict_each_other_admit_no_more_than_evictions_explain() {
    // One group, many more keys than slots, nothing ever refills: each bucket that is made admits at most its burst.
    let (table, limit, total, keys) = (BucketTable::new(1), limit(2.0, 0.0), AtomicU64::new(0), 200);
    in_threads(4, |thread| {
        let mut random = fastrand::Rng::with_seed(thread);
        let mine = (0..50_000).filter(|now| admitted(&table, random.u64(0..keys), &limit, *now)).count();
        total.fetch_add(mine as u64, Ordering::Relaxed);
    });
    let made = table.len() as u64 + table.evictions();
    assert_eq!(table.len(), SLOTS_PER_GROUP);
    assert!(total.into_inner() <= 2 * made);
}

#[test]
fn threads_that_pass_through_full_buckets_stay_within_every_keys_bound() {
    // Buckets fill up and are evicted all the time, also while they are being taken from.
    let (table, limit, keys, span) = (BucketTable::new(1), limit(4.0, 1000.0), 150, 20_000);
    let totals: Vec<_> = (0..keys).map(|_| AtomicU64::new(0)).collect();
    let clock = AtomicU64::new(1);
    in_threads(4, |thread| {
        let mut random = fastrand::Rng::with_seed(thread);
        for _ in 0..span {
            let (key, now) = (random.u64(0..keys), clock.fetch_add(100_000, Ordering::Relaxed));
            totals[key as usize].fetch_add(u64::from(admitted(&table, key, &limit, now)), Ordering::Relaxed);
        }
    });
    let seconds = clock.into_inner() as f64 / SECOND as f64;
    // An eviction of a bucket that was not full gives its client at most one burst.
    let bound = 4.0 + 1000.0 * seconds + 4.0 * table.evictions() as f64;
    assert!(totals.iter().all(|total| total.load(Ordering::Relaxed) as f64 <= bound));
}

#[test]
fn a_retune_among_takers_gives_nothing() {
    let (table, a, b, total) = (BucketTable::new(1), limit(20_000.0, 0.0), limit(30_000.0, 0.0), AtomicU64::new(0));
    in_threads(4, |thread| match thread {
        0 => (0..2000).for_each(|now| {
            let (old, new) = if now % 2 == 0 { (&a, &b) } else { (&b, &a) };
            table.retune(9, Some(old), new, Nanos(now));
        }),
        _ => {
            let mine = (0..10_000).filter(|now| admitted(&table, 9, &a, *now)).count();
            total.fetch_add(mine as u64, Ordering::Relaxed);
        }
    });
    assert_eq!(total.into_inner(), 20_000);
}

/// The simplest token bucket, in the order of its calls.
struct Model {
    tokens: f64,
    at: u64,
    limit: Limit,
}

impl Model {
    fn tokens_at(&self, now: u64) -> f64 {
        let gained = now.saturating_sub(self.at) as f64 / 1e9 * self.limit.rate_per_sec();
        (self.tokens + gained).min(self.limit.capacity())
    }

    fn set(&mut self, tokens: f64, now: u64) {
        self.tokens = tokens;
        self.at = self.at.max(now);
    }

    fn change(&mut self, limit: Limit, now: u64) {
        self.set(self.tokens_at(now).min(limit.capacity()), now);
        self.limit = limit;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take { key: u64, back_ns: u64 },
    Change { key: u64, limit: Limit },
    Wait { ns: u64 },
}

fn any_limit() -> impl Strategy<Value = Limit> {
    (1.0..20.0f64, prop_oneof![Just(0.0), 0.01..5.0f64, 1e3..1e6f64]).prop_map(|(c, r)| Limit::new(c, r).unwrap())
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..4, prop_oneof![4 => Just(0), 1 => 0..SECOND]).prop_map(|(key, back_ns)| Step::Take { key, back_ns }),
        1 => (0u64..4, any_limit()).prop_map(|(key, limit)| Step::Change { key, limit }),
        3 => prop_oneof![0..1000u64, 0..5 * SECOND].prop_map(|ns| Step::Wait { ns }),
    ]
}

/// Tokens by which both may differ: rounding, and some nanoseconds of refill.
fn doubt(limit: &Limit) -> f64 {
    1e-6 + limit.rate_per_sec() * 18e-9
}

proptest! {
    #[test]
    fn behaves_like_the_simplest_token_bucket(first in any_limit(), steps in vec(any_step(), 0..300)) {
        let table = BucketTable::new(10);
        let mut models: HashMap<u64, Model> = HashMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Wait { ns } => now += ns / 8 * 8 + 16,
                Step::Change { key, limit } => {
                    now += 16; // A change takes its bucket's time on by a tick.
                    let model = models.entry(key).or_insert(Model { tokens: first.capacity(), at: 0, limit: first });
                    let old = model.limit;
                    match table.tokens(key, &old, LimitKind::Client, Nanos(now)) {
                        Some(_) => model.change(limit, now),
                        None => *model = Model { tokens: limit.capacity(), at: 0, limit },
                    }
                    table.retune(key, Some(&old), &limit, Nanos(now));
                    if let Some(held) = table.tokens(key, &limit, LimitKind::Client, Nanos(now)) {
                        prop_assert!((held - model.tokens).abs() <= doubt(&old), "{held}, due {}", model.tokens);
                        model.tokens = held;
                    }
                }
                Step::Take { key, back_ns } => {
                    let now = now.saturating_sub(back_ns) / 8 * 8;
                    let model = models.entry(key).or_insert(Model { tokens: first.capacity(), at: 0, limit: first });
                    let due = model.tokens_at(now);
                    let decision = table.take(key, &model.limit, LimitKind::Client, Nanos(now));
                    let doubt = doubt(&model.limit);
                    prop_assert!(decision.admitted == (due >= 1.0) || (due - 1.0).abs() <= doubt);
                    let held = table.tokens(key, &model.limit, LimitKind::Client, Nanos(now)).unwrap();
                    if decision.admitted {
                        prop_assert!((held - (due - 1.0)).abs() <= doubt, "{held}, due {due}");
                        model.set(held, now);
                    } else {
                        prop_assert!((held - due).abs() <= doubt, "{held}, due {due}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_window_admits_more_than_capacity_and_refill(
        limit in any_limit(), gaps in vec(prop_oneof![Just(0), 0..1000u64, 0..3 * SECOND], 1..300),
    ) {
        let table = BucketTable::new(1);
        let times = gaps.iter().scan(0, |now, gap| { *now += gap / 8 * 8; Some(*now) });
        let passed: Vec<u64> = times.filter(|now| admitted(&table, 1, &limit, *now)).collect();
        for (first, start) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let bound = limit.capacity() + (end - start) as f64 / 1e9 * limit.rate_per_sec();
                prop_assert!((last - first + 1) as f64 <= bound + 1e-6);
            }
        }
    }

    #[test]
    fn a_refused_client_that_waits_as_told_is_admitted(limit in any_limit(), start in 0..1u64 << 57) {
        let table = BucketTable::new(1);
        let mut now = start * 8;
        for _ in 0..50 {
            let decision = table.take(1, &limit, LimitKind::Client, Nanos(now));
            if decision.admitted {
                continue;
            }
            let Some(wait) = decision.wait else { break };
            prop_assert!(wait < 2 || !admitted(&table, 1, &limit, now + wait / 2));
            now += wait;
            prop_assert!(admitted(&table, 1, &limit, now));
        }
    }
}
