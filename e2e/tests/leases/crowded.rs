//! More clients than a data plane remembers, while it is cut off and while it is not.

use crate::{
    client::Client,
    world::{Weather, World},
};

const SECOND: u64 = 1_000_000_000;
/// A table has room for 64.
const CLIENTS: u64 = 150;

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let limits = [(6.0, 0.0), (4.0, 0.5), (8.0, 20.0)];
    let clients = (0..CLIENTS).map(|number| {
        let (capacity, rate) = limits[number as usize % limits.len()];
        Client::new(number, capacity, rate)
    });
    let mut world = World::new(seed, Weather { delay_ns: 3_000_000, mishap: 0 }, clients.collect());
    (0..2).for_each(|_| {
        world.add_replica();
    });
    while !(0..2).all(|index| world.has_share(index)) {
        world.step();
    }
    let start_ns = world.now_ns;
    let cut_ns = start_ns + rng.u64(0..SECOND);
    while world.now_ns < start_ns + 16 * SECOND {
        let cut_off = world.is_cut(0) || world.now_ns >= cut_ns + SECOND;
        if world.now_ns >= cut_ns && !cut_off {
            world.cut(0, rng.u64(2 * SECOND..9 * SECOND));
        }
        world.request(rng.usize(0..2), rng.usize(0..world.clients.len()));
        world.step();
        assert!(world.worst <= 1e-3, "seed {seed}: {} tokens too many at {} ms", world.worst, world.now_ns / 1_000_000);
    }
}

#[test]
fn who_had_to_be_forgotten_gets_nothing_twice() {
    (0..20).for_each(run);
}
