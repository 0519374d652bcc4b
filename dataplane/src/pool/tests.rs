use std::collections::HashMap;

use proptest::{collection::vec, prelude::any, prop_assert, proptest, strategy::Strategy as Strategy_};

use super::*;
use crate::traffic::Failure;

const NOW: Nanos = Nanos(5_000_000_000);

/// The client and the random number are the same: a strategy goes by one of them.
fn ask<'a>(random: u64, tried: &'a [u64], rules: &'a PoolRules) -> Ask<'a> {
    Ask { client: random, random, now: NOW, tried, rules }
}

const STRATEGIES: [Strategy; 5] =
    [Strategy::RoundRobin, Strategy::LeastConnections, Strategy::P2c, Strategy::Random, Strategy::ConsistentHash];

fn backend(id: u64) -> Backend {
    Backend {
        id,
        scheme: Scheme::Http,
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
    counts_by(pool, tried, &PoolRules::default())
}

fn counts_by(pool: &Pool, tried: &[u64], rules: &PoolRules) -> HashMap<u64, u32> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = HashMap::new();
    for _ in 0..3000 {
        if let Ok(backend) = pool.pick(&ask(random.u64(..), tried, rules)) {
            *counts.entry(backend.id).or_default() += 1;
        }
    }
    counts
}

#[test]
fn backends_that_differ_in_their_scheme_alone_share_the_clients() {
    let place = backend(1).authority;
    let of = |id, scheme| Backend { scheme, authority: place.clone(), ..backend(id) };
    let pool = pool(Strategy::ConsistentHash, [of(1, Scheme::Http), of(2, Scheme::Https), of(3, Scheme::H2c)]);
    let counts = counts(&pool, &[]);
    assert!((1..=3).all(|id| counts[&id] > 700), "{counts:?}");
}

fn fail(pool: &Pool, index: usize, failure: Failure) -> Vec<Verdict> {
    let rules = OutlierRules::default();
    (0..rules.consecutive_failures).filter_map(|_| pool.failed(&pool.backends()[index], failure, NOW, &rules)).collect()
}

fn is_ejected(backend: &Backend) -> bool {
    backend.state.ejected(NOW).is_some()
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
        fail(&pool, 3, Failure::Connect);
        let counts = counts(&pool, &[2]);
        assert_eq!((counts.len(), counts.contains_key(&2), counts.contains_key(&4)), (2, false, false), "{strategy:?}");
    }
}

#[test]
fn if_all_are_ejected_one_is_chosen_all_the_same() {
    for strategy in STRATEGIES {
        let pool = pool(strategy, (1..4).map(backend));
        (0..3).for_each(|index| assert_eq!(fail(&pool, index, Failure::Connect).len(), 1));
        assert_eq!(counts(&pool, &[1]).len(), 2, "{strategy:?}");
        pool.backends()[1].state.connected(NOW);
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
    let rules = PoolRules::default();
    let pick = |pool: &Pool| pool.pick(&ask(0, &[], &rules)).map(|backend| backend.id);
    assert_eq!(pick(&first), Ok(1));
    let second = Pool::new(Strategy::RoundRobin, first.backends().to_vec(), Some(&first));
    assert_eq!([pick(&second), pick(&first), pick(&second)], [Ok(2), Ok(3), Ok(1)]);
}

#[test]
fn least_connections_sees_requests_in_flight() {
    let pool = pool(Strategy::LeastConnections, (1..4).map(backend));
    let (mut held, rules) = (Vec::new(), PoolRules::default());
    for _ in 0..30 {
        held.push(pool.pick(&ask(0, &[], &rules)).unwrap().state.begin());
    }
    assert!(pool.backends().iter().all(|backend| backend.state.in_flight() == 10));
}

#[test]
fn judgements_eject_half_and_refused_connections_all() {
    for (failure, ejected) in [(Failure::Reset, 2), (Failure::Timeout, 2), (Failure::Garbage, 2), (Failure::Connect, 5)]
    {
        let pool = pool(Strategy::RoundRobin, (1..6).map(backend));
        (0..5).for_each(|index| drop(fail(&pool, index, failure)));
        assert_eq!(pool.backends().iter().filter(|backend| is_ejected(backend)).count(), ejected, "{failure:?}");
    }
}

#[test]
fn an_answer_in_between_keeps_a_backend_in() {
    let (pool, rules) = (pool(Strategy::RoundRobin, (1..3).map(backend)), OutlierRules::default());
    for status in [200, 404, 503] {
        for _ in 0..4 {
            assert!(pool.failed(&pool.backends()[0], Failure::Reset, NOW, &rules).is_none());
        }
        assert!(pool.answered(&pool.backends()[0], status, || NOW, &rules).is_none());
    }
    let always = OutlierRules { server_errors: ServerErrors::Always, ..rules };
    let verdicts: Vec<_> = (0..5).filter_map(|_| pool.answered(&pool.backends()[0], 503, || NOW, &always)).collect();
    assert!(matches!(&verdicts[..], [Verdict::Ejected { reason: Reason::Failures, .. }]), "{verdicts:?}");
}

#[test]
fn the_review_ejects_the_worst_and_notices_when_they_are_back() {
    let (pool, rules) = (pool(Strategy::RoundRobin, (1..7).map(backend)), OutlierRules::default());
    let answer = |index: usize, status| {
        (0..30).for_each(|_| drop(pool.answered(&pool.backends()[index], status, || NOW, &rules)));
    };
    (0..6).for_each(|index| answer(index, 200));
    answer(0, 500);
    answer(0, 500);
    answer(1, 500);
    answer(1, 500);
    answer(1, 500);
    let ejected = |verdicts: Vec<Verdict>| {
        let ids = verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Ejected { backend, reason: Reason::SuccessRate, lasts_ns: 1_000_000_000 } => backend.id,
            other => panic!("{other:?}"),
        });
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ejected(pool.review(NOW, &rules)), [2, 1]);
    let back = NOW.plus(1_000_000_000);
    let returned = pool.review(back, &rules);
    assert!(matches!(&returned[..], [Verdict::Returned(first), Verdict::Returned(_)] if first.id == 1), "{returned:?}");
    assert!(pool.review(back.plus(1), &rules).is_empty(), "what was before the ejection counts no longer");
}

#[test]
fn where_all_fail_alike_nobody_is_ejected() {
    let (pool, rules) = (pool(Strategy::RoundRobin, (1..5).map(backend)), OutlierRules::default());
    for backend in pool.backends() {
        (0..100).for_each(|_| drop(pool.answered(backend, 500, || NOW, &rules)));
    }
    assert!(pool.review(NOW, &rules).is_empty());
}

#[test]
fn in_a_panic_judgements_are_ignored_and_refused_connections_are_not() {
    let pool = pool(Strategy::RoundRobin, (1..6).map(backend));
    fail(&pool, 0, Failure::Reset);
    fail(&pool, 1, Failure::Reset);
    fail(&pool, 2, Failure::Connect);
    assert_eq!(counts(&pool, &[]).len(), 2);
    assert!(matches!(pool.review(NOW, &OutlierRules::default())[..], [Verdict::Panic(true)]));
    assert_eq!((counts(&pool, &[]).len(), counts(&pool, &[]).contains_key(&3)), (4, false));
    let later = NOW.plus(2_000_000_000);
    assert!(matches!(pool.review(later, &OutlierRules::default())[..], [.., Verdict::Panic(false)]));
}

#[test]
fn a_backend_that_comes_back_begins_with_a_small_share() {
    let rules = PoolRules { slow_start_ns: 10_000_000_000, ..PoolRules::default() };
    for strategy in STRATEGIES {
        let pool = pool(strategy, (1..4).map(backend));
        pool.backends()[0].state.warm_up(NOW);
        let counts = counts_by(&pool, &[], &rules);
        let cold = counts.get(&1).copied().unwrap_or_default();
        assert!(cold < 250 && counts[&2] >= 1000 && counts[&3] >= 1000, "{strategy:?}: {counts:?}");
        let rules = PoolRules::default();
        assert!(counts_by(&pool, &[], &rules)[&1] > 700, "without slow start its share is whole: {strategy:?}");
    }
}

#[test]
fn where_all_are_cold_all_are_used() {
    let rules = PoolRules { slow_start_ns: 10_000_000_000, ..PoolRules::default() };
    for strategy in STRATEGIES {
        let pool = pool(strategy, (1..4).map(backend));
        pool.backends().iter().for_each(|backend| backend.state.warm_up(NOW));
        let counts = counts_by(&pool, &[], &rules);
        assert_eq!((counts.len(), counts.values().sum::<u32>()), (3, 3000), "{strategy:?}: {counts:?}");
    }
}

#[test]
fn requests_wait_for_room_with_good_backends_and_not_for_others() {
    let rules = PoolRules { max_in_flight: 1, ..PoolRules::default() };
    let pool = pool(Strategy::RoundRobin, (1..4).map(backend));
    let pick = |tried: &[u64]| pool.pick(&ask(0, tried, &rules)).map(|backend| backend.id);
    fail(&pool, 2, Failure::Reset);
    let held = pool.backends()[0].state.begin();
    assert_eq!([pick(&[]), pick(&[2])], [Ok(2), Err(NoPick::Busy)]);
    assert_eq!(pick(&[1, 2]), Ok(3), "an ejected one if there is no other");
    assert_eq!(pick(&[1, 2, 3]), Err(NoPick::Nobody));
    assert_eq!(pool.room(NOW, &rules), 1);
    drop(held);
    assert_eq!(pool.room(NOW, &rules), 2);
}

/// What can happen to a backend.
fn events() -> impl Strategy_<Value = Vec<(usize, u8, u64)>> {
    vec((0usize..8, 0u8..4, 0u64..2_000_000_000), 1..200)
}

proptest! {
    #[test]
    fn a_health_flap_moves_only_that_backends_clients(count in 2u64..8, flaps in 0u64..8, clients in vec(any::<u64>(), 20)) {
        let before = pool(Strategy::ConsistentHash, (0..count).map(backend));
        let flaps = flaps % count;
        let unhealthy = |id| if id == flaps { Health::Unhealthy } else { Health::Healthy };
        let backends = (0..count).map(|id| Arc::new(Backend { health: unhealthy(id), ..backend(id) })).collect();
        let after = Pool::new(Strategy::ConsistentHash, backends, Some(&before));
        let rules = PoolRules::default();
        for client in clients {
            let chosen = |pool: &Pool| pool.pick(&ask(client, &[], &rules)).unwrap().id;
            let (was, is) = (chosen(&before), chosen(&after));
            prop_assert!(is != flaps);
            prop_assert!(was == is || was == flaps);
        }
    }

    #[test]
    fn whatever_happens_at_most_half_are_ejected_on_a_judgement_and_somebody_is_chosen(
        count in 1u64..8, events in events(), random: u64,
    ) {
        let (pool, rules) = (pool(Strategy::RoundRobin, (0..count).map(backend)), PoolRules::default());
        let mut now = NOW;
        for (index, event, passes_ns) in events {
            let backend = &pool.backends()[index % pool.backends().len()];
            match event {
                0 => drop(pool.answered(backend, 200, || now, &rules.outlier)),
                1 => drop(pool.review(now, &rules.outlier)),
                _ => drop(pool.failed(backend, Failure::Reset, now, &rules.outlier)),
            }
            if event == 3 {
                now = now.plus(passes_ns / 4);
            }
            let ejected = pool.backends().iter().filter(|backend| backend.state.ejected(now).is_some()).count();
            prop_assert!(2 * ejected as u64 <= count);
            let chosen = pool.pick(&Ask { now, ..ask(random, &[], &rules) }).unwrap();
            prop_assert!(chosen.state.ejected(now).is_none());
        }
    }
}
