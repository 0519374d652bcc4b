//! What the ledger costs at 10 data planes with 100,000 clients in use at each: memory, CPU time of its task, bytes of its
//! messages, and for how long it stands still when data planes are lost and come back. Prints a table.
//!
//! What is counted is the ledger itself: its streams, and encoding of messages, cost as much as with any other gRPC.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

#[path = "ledger/cpu.rs"]
mod cpu;
#[path = "ledger/fleet.rs"]
mod fleet;

use std::time::Duration;

use controlplane::ledger::{Timing, message::Holding};

use crate::{
    cpu::{Meter, memory},
    fleet::{Fleet, ask, client},
};

const REPLICAS: usize = 10;
const CLIENTS: usize = 100_000;
/// Rounds of messages in a second, in which all clients have their turn.
const ROUNDS: usize = 20;
/// Seconds in which all clients come.
const SECONDS: usize = 5;

fn main() {
    println!("| | CPU ms | longest step ms | MB to the ledger | MB from it | bytes of memory per account |");
    println!("|---|---|---|---|---|---|");
    // The first one takes memory that nobody had before.
    let mut fleet = exclusive();
    renewals(&mut fleet);
    quiet(&mut fleet);
    lost(&mut fleet);
    back(&mut fleet);
    killed(&mut fleet);
    // The first fleet stays: what it has must not look as if nobody had needed it.
    shared();
    drop(fleet);
}

fn row(what: &str, fleet: &mut Fleet, memory: Option<usize>) {
    let Meter { total, longest } = std::mem::take(&mut fleet.spent);
    let (up, down) = std::mem::take(&mut fleet.bytes);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let memory = memory.map(|bytes| (bytes / fleet.ledger.accounts()).to_string()).unwrap_or_default();
    let (up, down) = (up as f64 / 1e6, down as f64 / 1e6);
    println!("| {what} | {:.2} | {:.2} | {up:.2} | {down:.2} | {memory} |", millis(total), millis(longest));
}

/// Each data plane has clients of its own.
fn exclusive() -> Fleet {
    let before = memory();
    let mut fleet = Fleet::new(REPLICAS);
    fleet.spent = Meter::default();
    for round in 0..SECONDS * ROUNDS {
        fleet.round(|replica| turn(round, SECONDS).map(|number| ask(number * REPLICAS + replica)).collect());
    }
    (0..8).for_each(|_| fleet.round(|_| Vec::new()));
    assert_eq!(fleet.ledger.accounts(), REPLICAS * CLIENTS);
    let memory = memory() - before;
    row("1,000,000 clients that were free, each at one data plane", &mut fleet, Some(memory));
    fleet
}

/// The clients whose turn it is, where all have it in so many seconds.
fn turn(round: usize, seconds: usize) -> std::ops::Range<usize> {
    let rounds = seconds * ROUNDS;
    round * CLIENTS / rounds..(round + 1) * CLIENTS / rounds
}

/// A second of nothing but renewals.
fn renewals(fleet: &mut Fleet) {
    for tick in 0..20 {
        fleet.pass(Duration::from_millis(50));
        if tick % 8 == 0 {
            (0..REPLICAS).for_each(|replica| {
                fleet.say(replica, Vec::new());
                fleet.hear(replica);
            });
        }
    }
    row("a second in which they stay there", fleet, None);
}

/// A thousand ticks at one moment.
fn quiet(fleet: &mut Fleet) {
    (0..1000).for_each(|_| fleet.tick());
    row("1,000 ticks with nothing to do", fleet, None);
}

/// One data plane falls silent, and the others go on until nothing is left to do about it.
fn lost(fleet: &mut Fleet) {
    fleet.leave(0, false);
    go_on(fleet, Duration::from_secs(4));
    row("a data plane with 100,000 of 1,000,000 clients falls silent: 4 s", fleet, None);
}

/// It comes back with what it had.
fn back(fleet: &mut Fleet) {
    let held = |number| Holding { client: client(number * REPLICAS), tokens: 5.0, whole: false, known: true };
    fleet.join(0, (0..CLIENTS).map(held).collect());
    // It is heard out over some ticks, and says nothing before it is answered.
    (0..=CLIENTS / Timing::default().accounts_per_tick).for_each(|_| fleet.tick());
    go_on(fleet, Duration::from_secs(1));
    row("it comes back with 100,000 holdings: 1 s", fleet, None);
}

/// One is killed, which its kernel says.
fn killed(fleet: &mut Fleet) {
    fleet.leave(1, true);
    go_on(fleet, Duration::from_secs(8));
    row("a data plane with 100,000 of 1,000,000 clients is killed: 8 s", fleet, None);
}

fn go_on(fleet: &mut Fleet, time: Duration) {
    let end = fleet.now + time;
    while fleet.now < end {
        fleet.round(|_| Vec::new());
    }
}

/// All data planes use the same clients, each asks for each of them once a second.
fn shared() {
    let before = memory();
    let mut fleet = Fleet::new(REPLICAS);
    let second = |fleet: &mut Fleet| (0..ROUNDS).for_each(|round| fleet.round(|_| turn(round, 1).map(ask).collect()));
    second(&mut fleet);
    let memory = memory() - before;
    row("100,000 clients that were free, each at all data planes", &mut fleet, Some(memory));
    second(&mut fleet);
    row("a second in which each data plane asks for each of them", &mut fleet, None);
}
