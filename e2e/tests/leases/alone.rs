//! The ledger is gone, and data planes are killed, stopped and started again meanwhile: more than once.

use crate::{
    client::Client,
    world::{STEP_NS, Weather, World},
};

const SECOND: u64 = 1_000_000_000;
const DATA_PLANES: usize = 3;

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let clients = vec![Client::new(0, 12.0, 0.0), Client::new(1, 6.0, 3.0), Client::new(2, 30.0, 30.0)];
    let mut world = World::new(seed, Weather { delay_ns: 3_000_000, mishap: 0 }, clients);
    (0..DATA_PLANES).for_each(|_| {
        world.add_replica();
    });
    while !(0..DATA_PLANES).all(|index| world.has_share(index)) {
        world.step();
    }
    let gone_ns = world.now_ns + rng.u64(0..SECOND);
    let mut dead: Vec<String> = Vec::new();
    let mut before = 0;
    while world.now_ns < gone_ns + 60 * SECOND {
        if world.ledger_is_up() && world.now_ns >= gone_ns {
            world.crash_ledger();
        }
        if !world.ledger_is_up() && rng.u32(0..1500) == 0 && !world.replicas.is_empty() {
            dead.push(world.crash_replica(rng.usize(0..world.replicas.len())));
        }
        if !dead.is_empty() && rng.u32(0..500) == 0 {
            world.revive(dead.remove(0));
        }
        for client in 0..world.clients.len() {
            if rng.u8(..) < 30 && !world.replicas.is_empty() {
                world.request(rng.usize(0..world.replicas.len()), client);
            }
        }
        world.step();
        assert!(world.worst <= 1e-3, "seed {seed}: {} tokens too many at {} ms", world.worst, world.now_ns / 1_000_000);
        if world.now_ns / STEP_NS == (gone_ns + 30 * SECOND) / STEP_NS {
            before = world.clients[1].admitted;
        }
    }
    let refilled = world.clients[1].admitted - before;
    assert!(refilled >= 10, "seed {seed}: {refilled} of 90: shares are refilled, also after a restart");
}

#[test]
fn restarts_without_a_ledger_give_nobody_a_share_twice() {
    (0..60).for_each(run);
}
