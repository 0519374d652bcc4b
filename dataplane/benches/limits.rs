//! The map of limits, by size: what finding one costs, changing one, making all of it, and its memory.

#![allow(missing_docs, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::{limit::Limit, limits::Limits};

use crate::cpu_time::CpuTime;

#[path = "shared/cpu_time.rs"]
mod cpu_time;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];

fn limit() -> Limit {
    Limit::new(10.0, 1.0).expect("a valid limit")
}

fn limits(count: u64) -> Limits {
    let mut limits = Limits::default();
    for number in 0..count {
        limits.insert(&format!("client-{number}"), limit());
    }
    limits
}

/// Of this process, from the kernel's count of pages.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|all| all.split(' ').nth(1)?.parse::<u64>().ok());
    resident.unwrap_or(0) * 4096
}

fn by_size(c: &mut Criterion<CpuTime>) {
    // What is freed would be used again, and not be counted.
    let mut kept = Vec::new();
    for count in SIZES {
        let before = resident_bytes();
        let mut limits = limits(count);
        println!("{count} limits: {:.0} bytes for each", (resident_bytes() - before) as f64 / count as f64);
        let mut random = fastrand::Rng::with_seed(1);
        c.bench_function(&format!("limits/get among {count}"), |b| {
            b.iter(|| limits.get(&format!("client-{}", random.u64(0..count))));
        });
        c.bench_function(&format!("limits/change one among {count}"), |b| {
            b.iter(|| {
                let mut next = limits.clone();
                next.insert(&format!("client-{}", random.u64(0..count)), limit());
                limits = next;
            });
        });
        kept.push(limits);
    }
}

fn from_empty(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("limits");
    group.sample_size(10);
    for count in SIZES {
        group.bench_function(format!("make all {count} from nothing"), |b| b.iter(|| limits(count)));
    }
}

criterion_group!(name = benches; config = cpu_time::criterion(); targets = by_size, from_empty);
criterion_main!(benches);
