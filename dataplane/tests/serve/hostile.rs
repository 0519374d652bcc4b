//! Requests that are not requests: each is refused with its status, and nothing of it reaches the backend.

use std::{io::Write, sync::atomic::Ordering::SeqCst, time::Duration};

use dataplane::server::{ProxyOptions, ServeOptions};

use crate::{backend, plane::Plane};

#[test]
fn a_bad_head_is_refused_and_the_connection_closed() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET /\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: y\r\n\r\n", 417),
        (&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), 414),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000)), 431),
    ] {
        let mut client = plane.connect();
        let answer = client.send(head).answer();
        assert_eq!(answer.status, status, "{head:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
        assert!(answer.header("x-request-id").is_some());
        assert!(client.is_closed(), "{head:?}");
    }
    assert_eq!(seen.requests.lock().unwrap().len(), 0);
}

#[test]
fn good_requests_before_a_bad_one_are_answered_first() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&format!("{good}{good}GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n{good}"));
    assert_eq!([client.answer().status, client.answer().status, client.answer().status], [200, 200, 400]);
    assert!(client.is_closed());
    assert_eq!(seen.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_malformed_chunk_is_the_client_s_fault_and_never_ends_a_body() {
    let (address, seen) = backend::start(|_, stream| stream.write_all(b"").is_ok());
    let plane = Plane::start(&[address], None);
    for chunk in ["0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-1\r\n\r\n", "5\nhello\r\n0\r\n\r\n"] {
        let mut client = plane.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").send(chunk);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{chunk:?}: {answer:?}");
        assert!(client.is_closed());
    }
    let requests = seen.requests.lock().unwrap();
    assert!(requests.iter().all(|r| !r.ends_with("0\r\n\r\n")), "{requests:?}");
}

#[test]
fn a_request_hidden_in_a_body_is_never_executed() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], Some(dataplane::limit::Limit::new(1.0, 0.0).unwrap()));
    let mut client = plane.connect();
    assert_eq!(client.get("/1").status, 200);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(&format!("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()));
    assert_eq!(client.answer().status, 429);
    drop(client);
    assert!(seen.requests.lock().unwrap().iter().all(|r| !r.contains("hidden")));
}

#[test]
fn slow_clients_are_told_so_or_let_go() {
    let (address, seen) = backend::start(backend::ok);
    let short = Duration::from_millis(100);
    let proxy = ProxyOptions {
        header_timeout: short,
        keep_alive_timeout: short,
        client_idle_timeout: short,
        ..ProxyOptions::default()
    };
    let plane = Plane::start_with(&[address], None, ServeOptions { proxy, ..ServeOptions::default() });
    let mut silent = plane.connect();
    assert!(silent.is_closed());
    let mut slow_head = plane.connect();
    assert_eq!(slow_head.send("GET / HTTP/1.1\r\nHo").answer().status, 408);
    let mut slow_body = plane.connect();
    assert_eq!(slow_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").answer().status, 408);
    let mut idle = plane.connect();
    assert_eq!(idle.get("/").status, 200);
    assert!(idle.is_closed());
    assert_eq!(seen.connections.load(SeqCst), 2);
}

#[test]
fn a_slow_backend_is_504() {
    let (address, _) = backend::start(|_, stream| stream.write_all(b"").is_ok());
    let proxy = ProxyOptions { response_timeout: Duration::from_millis(100), ..ProxyOptions::default() };
    let plane = Plane::start_with(&[address], None, ServeOptions { proxy, ..ServeOptions::default() });
    assert_eq!(plane.connect().get("/").status, 504);
}
