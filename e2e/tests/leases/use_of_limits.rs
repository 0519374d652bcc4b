//! A limit that holds must also be usable: nearly all of it, wherever the requests come.

use crate::world::{Client, Weather, World};

const SECOND: u64 = 1_000_000_000;
/// A message takes at least this.
const STEP_NS: u64 = 1_000_000;
const CALM: Weather = Weather { delay_ns: 1_000_000, mishap: 0 };

/// A world in which every data plane has its lease.
fn settled(replicas: usize, clients: Vec<Client>) -> World {
    let mut world = World::new(7, CALM, clients);
    (0..replicas).for_each(|_| {
        world.add_replica();
    });
    (0..3000).for_each(|_| world.pass(STEP_NS));
    world
}

/// Floods; `choose` says where the requests of a step go. Returns admitted / allowed, where the token that is about to be
/// whole counts.
fn used(limit: (f64, f64), mut choose: impl FnMut(u64, &mut fastrand::Rng) -> usize) -> f64 {
    let mut world = settled(3, vec![Client::new(0, limit.0, limit.1)]);
    let seconds = if limit.1 < 1.0 { 200 } else { 20 };
    let mut rng = fastrand::Rng::with_seed(1);
    let start = world.now_ns;
    let each = ((limit.1 * 2.0 * STEP_NS as f64 / SECOND as f64).ceil() as u64).max(1);
    while world.now_ns < start + seconds * SECOND {
        for _ in 0..each {
            let replica = choose(world.now_ns - start, &mut rng);
            world.request(replica, 0);
        }
        world.pass(STEP_NS);
    }
    assert!(world.worst <= 1e-3, "{} tokens too many", world.worst);
    (world.clients[0].admitted + 1) as f64 / (limit.0 + limit.1 * seconds as f64)
}

#[test]
fn a_single_data_plane_gets_the_whole_burst_at_once() {
    let mut world = settled(3, vec![Client::new(0, 100.0, 0.0), Client::new(1, 1.0, 0.0)]);
    (0..100).for_each(|_| {
        world.request(1, 0);
    });
    world.request(2, 1);
    (0..60).for_each(|_| {
        world.request(1, 0);
        world.pass(STEP_NS);
    });
    assert_eq!((world.clients[0].admitted, world.clients[1].admitted), (100, 1));
}

#[test]
fn all_of_a_burst_can_be_used_though_all_begin_at_once() {
    for capacity in [1.0, 2.0, 5.0] {
        let mut world = settled(3, vec![Client::new(0, capacity, 0.0)]);
        for _ in 0..300 {
            (0..3).for_each(|replica| {
                world.request(replica, 0);
            });
            world.pass(STEP_NS);
        }
        assert_eq!(world.clients[0].admitted as f64, capacity);
    }
}

#[test]
fn steady_demand_uses_the_limit_however_it_is_spread() {
    for limit in [(5.0, 0.5), (10.0, 5.0), (100.0, 100.0), (20.0, 1000.0)] {
        let even = used(limit, |_, rng| rng.usize(0..3));
        let skewed = used(limit, |_, rng| if rng.u8(..) < 230 { 0 } else { rng.usize(1..3) });
        let single = used(limit, |_, _| 2);
        println!("{limit:?}: even {even:.4}, skewed {skewed:.4}, single {single:.4}");
        assert!(even >= 0.99 && skewed >= 0.99 && single >= 0.99, "{limit:?}: {even} {skewed} {single}");
    }
}

#[test]
fn moving_demand_uses_nearly_all_of_it() {
    for limit in [(5.0, 0.5), (10.0, 5.0), (100.0, 100.0), (20.0, 1000.0)] {
        let moving = used(limit, |ns, _| (ns / (3 * SECOND)) as usize % 3);
        println!("{limit:?}: moving {moving:.4}");
        assert!(moving >= 0.95, "{limit:?}: {moving}");
    }
}
