//! Backends that close connections behind our back.

use std::{
    io::Write,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use crate::{backend, plane::Plane};

#[test]
fn no_get_is_lost_on_a_connection_that_closes_after_its_answer() {
    let (address, _) = backend::start(|request, stream| {
        backend::ok(request, stream);
        false
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for _ in 0..1000 {
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn a_get_that_got_no_answer_is_sent_again_but_a_post_is_not() {
    let (address, seen) = backend::start({
        let count = AtomicUsize::new(0);
        // Every second request on a connection is swallowed and the connection closed.
        move |request, stream| count.fetch_add(1, SeqCst).is_multiple_of(2) && backend::ok(request, stream)
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    assert_eq!(client.get("/1").status, 200);
    assert_eq!(client.get("/2").status, 200);
    let post = "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(client.send(post).answer().status, 502);
    let requests = seen.requests.lock().unwrap();
    let seen = |path: &str| requests.iter().filter(|r| r.contains(path)).count();
    assert_eq!((seen(" /1 "), seen(" /2 "), seen(" /3 ")), (1, 2, 1));
}

#[test]
fn bytes_nobody_asked_for_reach_no_client() {
    let (address, seen) = backend::start(|_, stream| {
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            )
            .is_ok()
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/").body, b"ok");
    }
    assert_eq!(seen.connections.load(SeqCst), 50);
}
