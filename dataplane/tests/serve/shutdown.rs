//! Shutdown finishes what is in flight.

use std::{
    io::Write,
    sync::{Mutex, mpsc::channel},
    time::Duration,
};

use dataplane::server::ServeOptions;

use crate::{backend, plane::Plane};

#[test]
fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let (arrived, wait_arrived) = channel();
    let (release, wait_release) = channel();
    let wait_release = Mutex::new(wait_release);
    let (address, _) = backend::start(move |request, stream| {
        arrived.send(()).unwrap();
        wait_release.lock().unwrap().recv().unwrap();
        backend::ok(request, stream)
    });
    let plane = Plane::start(&[address], None);
    let (mut client, mut idle) = (plane.connect(), plane.connect());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_arrived.recv().unwrap();
    plane.shut_down();
    assert!(idle.is_closed());
    release.send(()).unwrap();
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.is_closed());
    plane.join();
}

#[test]
fn a_request_that_meets_the_shutdown_is_answered_and_told_to_go() {
    let (address, _) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    assert_eq!(client.get("/").header("connection"), None);
    plane.shut_down();
    let last = client.get("/");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(client.is_closed());
    plane.join();
}

#[test]
fn the_grace_time_bounds_it() {
    let (arrived, wait_arrived) = channel();
    let (address, _) = backend::start(move |_, stream| {
        arrived.send(()).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").is_ok()
    });
    let options = ServeOptions { grace: Duration::from_millis(50), ..ServeOptions::default() };
    let plane = Plane::start_with(&[address], None, options);
    let mut client = plane.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_arrived.recv().unwrap();
    plane.shut_down();
    plane.join();
}
