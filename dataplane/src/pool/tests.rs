use std::collections::HashMap;

use proptest::{collection::vec, prelude::any, prop_assert, proptest};

use super::*;

const NOW: Nanos = Nanos(5_000_000_000);

const STRATEGIES: [Strategy; 5] =
    [Strategy::RoundRobin, Strategy::LeastConnections, Strategy::P2c, Strategy::Random, Strategy::ConsistentHash];

fn backend(id: u64) -> Backend {
    Backend {
        id,
        authority: format!("10.0.0.{id}:80").parse().unwrap(),
        weight: 1,
        draining: false,
        health: Health::Unknown,
        state: Arc::default(),
    }
}

fn pool(strategy: Strategy, backends: impl IntoIterator<Item = Backend>) -> Pool {
    Pool::new(strategy, backends.into_iter().map(Arc::new).collect(), None)
}

/// Who is chosen how often, of 3000 clients.
fn counts(pool: &Pool, tried: &[u64]) -> HashMap<u64, u32> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = HashMap::new();
    for _ in 0..3000 {
        if let Some(backend) = pool.pick(random.u64(..), random.u64(..), NOW, tried) {
            *counts.entry(backend.id).or_default() += 1;
        }
    }
    counts
}

fn eject(backend: &Backend) {
    (0..3).for_each(|_| backend.state.connect_failed(NOW));
}

#[test]
fn every_strategy_shares_evenly_among_who_may_take_requests() {
    for strategy in STRATEGIES {
        let draining = Backend { draining: true, ..backend(5) };
        let unhealthy = Backend { health: Health::Unhealthy, ..backend(6) };
        let healthy = Backend { health: Health::Healthy, ..backend(1) };
        let counts = counts(&pool(strategy, [healthy, backend(2), backend(3), draining, unhealthy]), &[]);
        assert_eq!(counts.len(), 3, "{strategy:?}");
        assert!(counts.values().all(|count| count.abs_diff(1000) < 250), "{strategy:?}: {counts:?}");
    }
}

#[test]
fn every_strategy_follows_the_weights() {
    for strategy in STRATEGIES {
        let counts = counts(&pool(strategy, [Backend { weight: 3, ..backend(1) }, backend(2)]), &[]);
        assert!(counts[&1].abs_diff(2250) < 250, "{strategy:?}: {counts:?}");
    }
}

#[test]
fn tried_and_ejected_ones_are_avoided() {
    for strategy in STRATEGIES {
        let pool = pool(strategy, (1..5).map(backend));
        eject(&pool.backends()[3]);
        let counts = counts(&pool, &[2]);
        assert_eq!((counts.len(), counts.contains_key(&2), counts.contains_key(&4)), (2, false, false), "{strategy:?}");
    }
}

#[test]
fn if_all_are_ejected_one_is_chosen_all_the_same() {
    for strategy in STRATEGIES {
        let pool = pool(strategy, (1..4).map(backend));
        pool.backends().iter().for_each(|backend| eject(backend));
        assert_eq!(counts(&pool, &[1]).len(), 2, "{strategy:?}");
        pool.backends()[1].state.connected();
        assert_eq!(counts(&pool, &[]).len(), 1, "{strategy:?}");
    }
}

#[test]
fn nobody_is_chosen_if_nobody_can_be() {
    for strategy in STRATEGIES {
        assert!(counts(&pool(strategy, []), &[]).is_empty());
        assert!(counts(&pool(strategy, [Backend { health: Health::Unhealthy, ..backend(1) }]), &[]).is_empty());
        assert!(counts(&pool(strategy, [backend(1), backend(2)]), &[1, 2]).is_empty());
    }
}

#[test]
fn a_new_pool_goes_on_with_the_turn_of_the_old() {
    let first = pool(Strategy::RoundRobin, (1..4).map(backend));
    let pick = |pool: &Pool| pool.pick(0, 0, NOW, &[]).map(|backend| backend.id);
    assert_eq!(pick(&first), Some(1));
    let second = Pool::new(Strategy::RoundRobin, first.backends().to_vec(), Some(&first));
    assert_eq!([pick(&second), pick(&first), pick(&second)], [Some(2), Some(3), Some(1)]);
}

#[test]
fn least_connections_sees_requests_in_flight() {
    let pool = pool(Strategy::LeastConnections, (1..4).map(backend));
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(pool.pick(0, 0, NOW, &[]).unwrap().state.begin());
    }
    assert!(pool.backends().iter().all(|backend| backend.state.in_flight() == 10));
}

proptest! {
    #[test]
    fn a_health_flap_moves_only_that_backends_clients(count in 2u64..8, flaps in 0u64..8, clients in vec(any::<u64>(), 20)) {
        let before = pool(Strategy::ConsistentHash, (0..count).map(backend));
        let flaps = flaps % count;
        let unhealthy = |id| if id == flaps { Health::Unhealthy } else { Health::Healthy };
        let backends = (0..count).map(|id| Arc::new(Backend { health: unhealthy(id), ..backend(id) })).collect();
        let after = Pool::new(Strategy::ConsistentHash, backends, Some(&before));
        for client in clients {
            let (was, is) = (before.pick(client, 0, NOW, &[]).unwrap().id, after.pick(client, 0, NOW, &[]).unwrap().id);
            prop_assert!(is != flaps);
            prop_assert!(was == is || was == flaps);
        }
    }
}
