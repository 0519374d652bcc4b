//! What choosing a backend costs, by strategy and size of the pool.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::{
    clock::Nanos,
    pool::{Ask, Backend, BackendState, Health, Pool, PoolRules, Scheme, Strategy},
};

use crate::cpu_time::CpuTime;

#[path = "shared/cpu_time.rs"]
mod cpu_time;

const STRATEGIES: [(&str, Strategy); 5] = [
    ("round_robin", Strategy::RoundRobin),
    ("least_connections", Strategy::LeastConnections),
    ("p2c", Strategy::P2c),
    ("random", Strategy::Random),
    ("consistent_hash", Strategy::ConsistentHash),
];

fn backends(count: u64) -> Vec<Arc<Backend>> {
    let backend = |id: u64| Backend {
        id,
        scheme: Scheme::Http,
        authority: format!("10.0.{}.{}:80", id / 256, id % 256).parse().expect("a valid authority"),
        weight: 1 + (id % 3) as u32,
        draining: false,
        health: Health::Healthy,
        state: Arc::new(BackendState::default()),
    };
    (0..count).map(|id| Arc::new(backend(id))).collect()
}

/// All backends are busy.
fn pick(c: &mut Criterion<CpuTime>) {
    for (name, strategy) in STRATEGIES {
        for count in [3, 100, 1000] {
            let backends = backends(count);
            let busy = |backend: &Arc<Backend>| (0..=backend.id % 5).map(|_| backend.state.begin()).collect::<Vec<_>>();
            let _in_flight: Vec<_> = backends.iter().map(busy).collect();
            pick_from(c, &format!("pick/{name}/{count}"), &Pool::new(strategy, backends, None));
        }
    }
    let idle = Pool::new(Strategy::LeastConnections, backends(1000), None);
    pick_from(c, "pick/least_connections, all idle/1000", &idle);
}

fn pick_from(c: &mut Criterion<CpuTime>, name: &str, pool: &Pool) {
    let (mut random, rules) = (fastrand::Rng::with_seed(1), PoolRules::default());
    c.bench_function(name, |b| {
        b.iter(|| {
            let (client, random) = (random.u64(..), random.u64(..));
            let ask = Ask { client, random, now: Nanos(1), tried: &[], rules: &rules };
            pool.pick(&ask).map(|backend| backend.id)
        });
    });
}

fn build(c: &mut Criterion<CpuTime>) {
    for (name, strategy) in STRATEGIES {
        let backends = backends(1000);
        c.bench_function(&format!("new/{name}/1000"), |b| b.iter(|| Pool::new(strategy, backends.clone(), None)));
    }
}

criterion_group!(name = benches; config = cpu_time::criterion(); targets = pick, build);
criterion_main!(benches);
