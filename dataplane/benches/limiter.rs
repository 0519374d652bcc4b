//! What a decision of the limiter costs, and a change among a million limits.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::{
    clock::{self, Nanos},
    limit::Limit,
    limiter::{BucketTable, LimitKind},
    limits::Limits,
};

const MILLION: u64 = 1_000_000;

/// A bijection that spreads small numbers over all keys, as hashing client names does.
fn key(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn generous() -> Limit {
    Limit::new(1e9, 1e6).expect("a valid limit")
}

fn filled(clients: u64) -> BucketTable {
    let table = BucketTable::new(MILLION as usize);
    for number in 0..clients {
        table.take(key(number), &generous(), LimitKind::Default, Nanos(1));
    }
    table
}

fn take(c: &mut Criterion) {
    for (name, clients) in [("take/10k hot", 10_000), ("take/1M uniform", MILLION)] {
        let (table, mut random, mut now) = (filled(clients), fastrand::Rng::with_seed(1), 1);
        c.bench_function(name, |b| {
            b.iter(|| {
                now += 100;
                table.take(key(random.u64(0..clients)), black_box(&generous()), LimitKind::Default, Nanos(now))
            });
        });
    }
    let table = BucketTable::new(MILLION as usize);
    let empty = Limit::new(1.0, 0.0).expect("a valid limit");
    c.bench_function("take/refused hot key", |b| {
        b.iter(|| table.take(black_box(7), &empty, LimitKind::Client, Nanos(1)));
    });
    c.bench_function("take/new clients into a full table", |b| {
        let (table, mut number) = (filled(MILLION), MILLION);
        b.iter(|| {
            number += 1;
            table.take(key(number), &generous(), LimitKind::Default, Nanos(number))
        });
    });
    c.bench_function("clock", |b| b.iter(clock::now));
}

fn limits(c: &mut Criterion) {
    let mut limits = Limits::default();
    for number in 0..MILLION {
        limits.insert(&format!("client-{number}"), generous());
    }
    let mut random = fastrand::Rng::with_seed(1);
    c.bench_function("limits/get among 1M", |b| {
        b.iter(|| limits.get(&format!("client-{}", random.u64(0..MILLION))));
    });
    c.bench_function("limits/clone, insert among 1M", |b| {
        b.iter(|| {
            let mut next = limits.clone();
            next.insert(&format!("client-{}", random.u64(0..MILLION)), generous());
            limits = next;
        });
    });
}

criterion_group!(benches, take, limits);
criterion_main!(benches);
