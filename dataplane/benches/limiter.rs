//! What a decision of the limiter costs: by the number of clients, and by the number of threads.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::{
    clock::{self, Nanos},
    limit::Limit,
    limiter::{BucketTable, LimitKind},
};

use crate::cpu_time::CpuTime;

#[path = "shared/cpu_time.rs"]
mod cpu_time;

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

/// Any of `clients` makes the next request.
fn take(c: &mut Criterion<CpuTime>) {
    for clients in [1_000, 10_000, 100_000, MILLION] {
        let (table, mut random, mut now) = (filled(clients), fastrand::Rng::with_seed(1), 1);
        c.bench_function(&format!("take/{clients} clients"), |b| {
            b.iter(|| {
                now += 100;
                table.take(key(random.u64(0..clients)), black_box(&generous()), LimitKind::Default, Nanos(now))
            });
        });
    }
    println!("a table for 1,000,000 clients: {} bytes for each", filled(MILLION).bytes() as f64 / MILLION as f64);
}

fn edges(c: &mut Criterion<CpuTime>) {
    let table = BucketTable::new(MILLION as usize);
    let empty = Limit::new(1.0, 0.0).expect("a valid limit");
    c.bench_function("take/refused", |b| {
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

/// Time that passes for `each` decisions of every thread. Flat over threads is linear growth of what they do together.
fn together(threads: u64, each: u64, clients: u64, table: &BucketTable) -> Duration {
    let begun = Instant::now();
    thread::scope(|scope| {
        for number in 0..threads {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(number);
                for now in 1..=each {
                    let limit = black_box(generous());
                    black_box(table.take(key(random.u64(0..clients)), &limit, LimitKind::Default, Nanos(now * 100)));
                }
            });
        }
    });
    begun.elapsed()
}

fn threads(c: &mut Criterion<CpuTime>) {
    for (name, clients) in [("one client", 1), ("10000 clients", 10_000)] {
        for threads in [1, 2] {
            let table = filled(clients);
            c.bench_function(&format!("take/{name} from {threads} threads"), |b| {
                b.iter_custom(|each| together(threads, each, clients, &table));
            });
        }
    }
}

criterion_group!(name = benches; config = cpu_time::criterion(); targets = take, edges, threads);
criterion_main!(benches);
