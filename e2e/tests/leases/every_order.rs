//! Two data planes, two clients, and every order of a few events: not drawn by lot, but all of them.

use crate::{
    client::Client,
    world::{Weather, World},
};

const MILLI: u64 = 1_000_000;
/// Events of one sequence.
const LENGTH: u32 = 4;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request: data plane, client.
    Request(usize, usize),
    /// One message each way.
    Pass,
    /// Longer than a request waits.
    PassLonger,
    /// The network between the first data plane and the ledger is cut for longer than a lease.
    Cut,
    /// A stream breaks.
    Break(usize),
    /// The ledger is gone and at once back.
    RestartLedger,
}

const EVENTS: [Event; 10] = [
    Event::Request(0, 0),
    Event::Request(1, 0),
    Event::Request(0, 1),
    Event::Request(1, 1),
    Event::Pass,
    Event::PassLonger,
    Event::Cut,
    Event::Break(0),
    Event::Break(1),
    Event::RestartLedger,
];

/// One token that comes back only slowly, and three that never do: whatever is made twice is seen.
fn world() -> World {
    let clients = vec![Client::new(0, 3.0, 0.0), Client::new(1, 1.0, 0.1)];
    let mut world = World::new(1, Weather { delay_ns: 0, mishap: 0 }, clients);
    (0..2).for_each(|_| {
        world.add_replica();
    });
    (0..6).for_each(|_| world.pass(MILLI));
    world
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Request(replica, client) => {
            world.request(replica, client);
        }
        Event::Pass => world.pass(MILLI),
        Event::PassLonger => (0..3).for_each(|_| world.pass(15 * MILLI)),
        Event::Cut => world.cut(0, 2500 * MILLI),
        Event::Break(replica) => world.break_stream(replica),
        Event::RestartLedger => {
            world.crash_ledger();
            world.start_ledger();
        }
    }
}

/// Everyone wants everything, through all that may still come of what has happened.
fn flood(world: &mut World) {
    for round in 0..24 {
        for (replica, client) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            world.request(replica, client);
        }
        world.pass(if round < 12 { 5 * MILLI } else { 600 * MILLI });
    }
}

#[test]
fn no_order_of_events_makes_a_token_twice() {
    let sequences = EVENTS.len().pow(LENGTH);
    for number in 0..sequences {
        let mut world = world();
        let events: Vec<Event> =
            (0..LENGTH).map(|place| EVENTS[number / EVENTS.len().pow(place) % EVENTS.len()]).collect();
        events.iter().for_each(|event| happen(&mut world, *event));
        flood(&mut world);
        assert!(world.worst <= 1e-6, "{events:?}: {} tokens too many", world.worst);
    }
}
