//! A limit that holds must also be usable: nearly all of it, wherever the requests come.

use dataplane::limit::Limit;

use crate::{
    client::Client,
    world::{Weather, World},
};

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

/// Tokens that three data planes have under an old limit do not count against the new one for longer than they are there.
#[test]
fn a_lowered_limit_can_be_used_at_once() {
    for (before, after) in [((100.0, 100.0), (10.0, 5.0)), ((1000.0, 0.0), (5.0, 0.5)), ((90.0, 900.0), (90.0, 9.0))] {
        let mut world = settled(3, vec![Client::new(0, before.0, before.1)]);
        let mut rng = fastrand::Rng::with_seed(1);
        let flood = |world: &mut World, rng: &mut fastrand::Rng, seconds: f64| {
            let until_ns = world.now_ns + (seconds * SECOND as f64) as u64;
            while world.now_ns < until_ns {
                let replica = rng.usize(0..3);
                world.request(replica, 0);
                world.pass(STEP_NS);
            }
            world.clients[0].admitted
        };
        let admitted_before = flood(&mut world, &mut rng, 0.1);
        world.change_limit(0, Limit::new(after.0, after.1).unwrap(), &mut rng);
        flood(&mut world, &mut rng, 0.5);
        let start = world.clients[0].admitted;
        let admitted = flood(&mut world, &mut rng, 40.0) - start;
        println!("{before:?} {admitted_before}, then {after:?}: {admitted}");
        assert!(admitted as f64 + 1.0 >= 0.99 * 40.0 * after.1, "{before:?}, then {after:?}: {admitted}");
        assert!(world.worst <= 1e-3, "{} tokens too many", world.worst);
    }
}

/// A raised one counts at once too.
#[test]
fn a_raised_limit_can_be_used_at_once() {
    let mut world = settled(3, vec![Client::new(0, 5.0, 0.5)]);
    let mut rng = fastrand::Rng::with_seed(1);
    let flood = |world: &mut World, rng: &mut fastrand::Rng| {
        for _ in 0..10_000 {
            let replica = rng.usize(0..3);
            world.request(replica, 0);
            world.pass(STEP_NS);
        }
        world.clients[0].admitted
    };
    flood(&mut world, &mut rng);
    world.change_limit(0, Limit::new(100.0, 100.0).unwrap(), &mut rng);
    (0..400).for_each(|_| world.pass(STEP_NS));
    let start = world.clients[0].admitted;
    let admitted = flood(&mut world, &mut rng) - start;
    assert!(admitted >= 990, "{admitted}");
    assert!(world.worst <= 1e-3, "{} tokens too many", world.worst);
}

/// Steps until `reached`, which must be within some seconds.
fn until(world: &mut World, reached: impl Fn(&World) -> bool) {
    let deadline = world.now_ns + 20 * SECOND;
    while !reached(world) {
        assert!(world.now_ns < deadline, "in vain");
        world.pass(STEP_NS);
    }
}

/// Every one of three is stopped in order and replaced, whatever is on its way meanwhile; then all want everything.
fn replaced_in_turn(seed: u64) {
    let delay_ns = [1_000_000, 20_000_000, 100_000_000][seed as usize % 3];
    let mut world = World::new(seed, Weather { delay_ns, mishap: 0 }, vec![Client::new(0, 10.0, 10.0 / 3600.0)]);
    (0..3).for_each(|_| {
        world.add_replica();
    });
    until(&mut world, |world| (0..3).all(|index| world.has_share(index)));
    for _ in 0..3 {
        let others = world.rng.usize(0..2);
        // The first is the oldest: one that comes back goes to the end.
        (0..=others).for_each(|index| {
            world.request(index, 0);
        });
        let until_ns = world.now_ns + world.rng.u64(0..300_000_000);
        until(&mut world, |world| world.now_ns >= until_ns);
        let id = world.replicas[0].id.clone();
        world.begin_to_stop(0);
        until(&mut world, |world| world.replicas.len() == 2);
        world.revive(id);
        until(&mut world, |world| (0..3).all(|index| world.has_share(index)));
        world.request(2, 0);
    }
    for _ in 0..2000 {
        (0..3).for_each(|index| {
            world.request(index, 0);
        });
        world.pass(10 * STEP_NS);
    }
    assert!(world.worst <= 1e-3, "seed {seed}: {} tokens too many", world.worst);
    assert_eq!(world.clients[0].admitted, 10, "seed {seed}");
}

#[test]
fn nothing_is_lost_when_all_are_replaced_in_turn() {
    (0..200).for_each(replaced_in_turn);
}
