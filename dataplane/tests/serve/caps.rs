//! Too many connections: each is told so and closed, and the others go on.

use std::time::{Duration, Instant};

use dataplane::{
    metrics::RefusedConnection,
    server::{ConnectionCaps, ServeOptions},
};

use crate::{
    backend,
    plane::{Client, Plane},
};

fn plane(max: usize, per_client: usize) -> Plane {
    let (address, _) = backend::start(backend::ok);
    let caps = ConnectionCaps { max, per_client };
    Plane::start_with(&[address], None, ServeOptions { caps, ..ServeOptions::default() })
}

/// A connection that has been served.
fn served(plane: &Plane) -> Client {
    let mut client = plane.connect();
    assert_eq!(client.get("/").status, 200);
    client
}

fn assert_refused(plane: &Plane) {
    let mut client = plane.connect();
    let answer = client.get("/");
    assert_eq!(
        (answer.status, answer.header("connection"), answer.header("retry-after")),
        (503, Some("close"), Some("1"))
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(String::from_utf8_lossy(&answer.body).contains("too many connections"), "{answer:?}");
    assert!(client.is_closed());
}

/// Waits until only so many connections are open.
fn await_open(plane: &Plane, count: u64) {
    let patience = Instant::now() + Duration::from_secs(10);
    while plane.shared.metrics.connections.open() > count {
        assert!(Instant::now() < patience, "connections stay open");
        std::thread::yield_now();
    }
}

#[test]
fn at_the_cap_a_connection_is_told_so_and_the_others_go_on() {
    let plane = plane(2, 0);
    let (mut first, second) = (served(&plane), served(&plane));
    for _ in 0..3 {
        assert_refused(&plane);
    }
    assert_eq!(first.get("/").status, 200);
    drop(second);
    await_open(&plane, 1);
    let _third = served(&plane);
    assert_eq!(plane.shared.metrics.connections.refused_total(RefusedConnection::TooMany), 3);
}

#[test]
fn an_address_has_its_own_cap() {
    let plane = plane(0, 1);
    let first = served(&plane);
    assert_refused(&plane);
    drop(first);
    await_open(&plane, 0);
    let _second = served(&plane);
    assert_eq!(plane.shared.metrics.connections.refused_total(RefusedConnection::TooManyOfClient), 1);
}

#[test]
fn a_refused_connection_that_says_nothing_is_closed_soon() {
    let plane = plane(1, 0);
    let _first = served(&plane);
    let (started, mut silent) = (Instant::now(), plane.connect());
    assert!(silent.is_closed());
    assert!(started.elapsed() < Duration::from_secs(5), "the time for a head is 10 s");
}

#[test]
fn a_tunnel_keeps_its_place() {
    let (address, _) = backend::start(|_, stream| {
        use std::io::{Read, Write};
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0; 16]);
        false
    });
    let caps = ConnectionCaps { max: 1, per_client: 0 };
    let plane = Plane::start_with(&[address], None, ServeOptions { caps, ..ServeOptions::default() });
    let mut tunnel = plane.connect();
    tunnel.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.answer().status, 101);
    assert_refused(&plane);
    drop(tunnel);
    await_open(&plane, 0);
}
