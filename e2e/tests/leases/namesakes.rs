//! A data plane is started with a copy of another's state: the same name, and the same share.

use std::collections::BTreeSet;

use crate::{
    client::Client,
    world::{Weather, World},
};

const SECOND: u64 = 1_000_000_000;

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let clients = vec![Client::new(0, 12.0, 0.0), Client::new(1, 6.0, 3.0), Client::new(2, 30.0, 30.0)];
    let delay_ns = [1_000_000, 30_000_000][rng.usize(0..2)];
    let mut world = World::new(seed, Weather { delay_ns, mishap: 0 }, clients);
    (0..2).for_each(|_| {
        world.add_replica();
    });
    while !(0..2).all(|index| world.has_share(index)) {
        world.step();
    }
    let start_ns = world.now_ns;
    let copied_ns = start_ns + rng.u64(0..2 * SECOND);
    while world.now_ns < start_ns + 15 * SECOND {
        if world.replicas.len() == 2 && world.now_ns >= copied_ns {
            world.copy(rng.usize(0..2));
        }
        // Later its stream, and those of the others, break as any.
        let index = rng.usize(0..world.replicas.len());
        if rng.u32(0..1000) == 0 && world.now_ns > copied_ns + SECOND && world.is_settled(index) {
            world.break_stream(index);
        }
        for client in 0..world.clients.len() {
            if rng.u8(..) < 30 {
                world.request(rng.usize(0..world.replicas.len()), client);
            }
        }
        world.step();
        assert!(world.worst <= 1e-3, "seed {seed}: {} tokens too many at {} ms", world.worst, world.now_ns / 1_000_000);
    }
    let names: BTreeSet<&str> = world.replicas.iter().map(|replica| replica.id.as_str()).collect();
    assert_eq!(names.len(), 3, "seed {seed}");
    (0..3000).for_each(|_| world.step());
    assert!((0..3).all(|index| world.has_share(index)), "seed {seed}: each has a share of its own");
}

#[test]
fn a_copy_of_a_data_plane_gives_nobody_a_token_twice() {
    (0..60).for_each(run);
}
