//! Two faults at once, of those that the protocol bears though only the schedules' single ones are promised.

use crate::{
    client::Client,
    world::{Weather, World},
};

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
const CALM: Weather = Weather { delay_ns: MILLI, mishap: 0 };

/// Three data planes with their shares, and who uses them.
struct Scene {
    world: World,
    rng: fastrand::Rng,
    seed: u64,
    /// Where requests come.
    used: std::ops::Range<usize>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let clients = vec![Client::new(0, 12.0, 0.0), Client::new(1, 20.0, 200.0), Client::new(2, 100.0, 50.0)];
        let mut world = World::new(seed, CALM, clients);
        (0..3).for_each(|_| {
            world.add_replica();
        });
        while !(0..3).all(|index| world.has_share(index)) {
            world.step();
        }
        Self { world, rng: fastrand::Rng::with_seed(seed), seed, used: 0..3 }
    }

    /// So much time passes, in which all clients want everything.
    fn pass(&mut self, ns: u64) {
        let end = self.world.now_ns + ns;
        while self.world.now_ns < end {
            self.world.step();
            for client in 0..self.world.clients.len() {
                self.world.request(self.rng.usize(self.used.clone()), client);
            }
            let (worst, now) = (self.world.worst, self.world.now_ns / MILLI);
            assert!(worst <= 1e-3, "seed {}: {worst} tokens too many at {now} ms", self.seed);
        }
    }

    fn pass_until(&mut self, reached: impl Fn(&World) -> bool) {
        while !reached(&self.world) {
            self.pass(MILLI);
        }
    }

    fn pass_up_to(&mut self, ns: u64) {
        let ns = self.rng.u64(0..ns);
        self.pass(ns);
    }
}

/// The join of one is long on its way, and it is cut off as soon as it has its lease; and so is another one that holds whole
/// buckets, about when the first one's lease ends.
fn late_join(seed: u64) {
    let mut scene = Scene::new(seed);
    scene.used = 1..2;
    scene.pass(SECOND);
    scene.world.weather.delay_ns = 1200 * MILLI;
    scene.world.break_stream(0);
    scene.pass_until(|world| world.is_joined(0));
    scene.world.weather = CALM;
    scene.pass_until(|world| world.replicas[0].lease.is_welcome());
    scene.world.cut(0, 9 * SECOND);
    scene.pass(1600 * MILLI);
    scene.pass_up_to(500 * MILLI);
    scene.world.cut(1, 9 * SECOND);
    scene.used = 0..2;
    scene.pass(5 * SECOND);
}

/// The ledger ends the stream of one because a message is missing, and just then that one is cut off.
fn cut_off_while_out_of_order(seed: u64) {
    let mut scene = Scene::new(seed);
    scene.pass(SECOND);
    scene.pass_up_to(SECOND);
    while !scene.world.lose_message(0) {
        scene.pass(MILLI);
    }
    // It does not know yet.
    scene.pass_until(|world| !world.is_joined(0) && world.replicas[0].lease.is_welcome());
    scene.world.cut(0, 7 * SECOND);
    scene.pass(9 * SECOND);
}

#[test]
fn a_join_that_was_long_on_its_way_makes_no_share_twice() {
    (0..100).for_each(late_join);
}

#[test]
fn whose_stream_the_ledger_ends_may_be_cut_off_just_then() {
    (0..30).for_each(cut_off_while_out_of_order);
}
