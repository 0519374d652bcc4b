//! Many connections, and none left to give: the program goes on, without spinning, and recovers.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{plane::Client, program::Program};

#[test]
fn it_neither_spins_nor_ends_and_recovers() {
    let mut program = Program::start("ulimit -n 64", "--max-connections 1000");
    let proxy = program.proxy();
    let mut early = Client::connect(proxy);
    assert_eq!(early.get("/").status, 503);
    let clients: Vec<_> = (0..100).map(|_| Client::connect(proxy)).collect();
    program.logged(&["cannot accept connections"]);
    assert_eq!(early.get("/").status, 503, "who is connected is served");
    let before = program.cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let used = program.cpu_ticks() - before;
    assert!(used < 25, "{used} hundredths of a second of processor time while there was nothing to do");
    drop((early, clients));
    assert_eq!(Client::connect(proxy).get("/").status, 503, "it recovers");
    assert!(program.child.try_wait().unwrap().is_none());
}

#[test]
fn ten_thousand_idle_connections_are_spread_evenly_and_cost_little() {
    let count = raise_own_limit().saturating_sub(500).min(10_000);
    let flags = format!("--max-connections {count} --keep-alive-timeout-ms 600000");
    let mut program = Program::start("true", &flags);
    let proxy = program.proxy();
    assert_eq!(Client::connect(proxy).get("/").status, 503);
    let before = program.memory();
    let mut clients: Vec<_> = (1..count).map(|_| Client::connect(proxy)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 503);
    }
    let per_connection = program.memory().saturating_sub(before) / clients.len() as u64;
    println!("{count} connections: {per_connection} bytes each, {:?} per thread", program.sockets_per_thread());
    assert!(per_connection < 12 * 1024, "{per_connection} bytes per idle connection");
    // tokio registers its sockets with one epoll instance per thread, and with a copy of its descriptor.
    let spread: Vec<_> = program.sockets_per_thread().into_iter().filter(|sockets| *sockets > 10).collect();
    assert!(spread.iter().all(|sockets| sockets.abs_diff(clients.len() / 2) < 10 + count / 100), "{spread:?}");
    assert_eq!(clients[0].get("/").status, 503);
}

/// Raises this process's limit on open files as far as it goes; returns it.
fn raise_own_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    limit.maximum.map_or(1 << 20, |maximum| usize::try_from(maximum).unwrap())
}
