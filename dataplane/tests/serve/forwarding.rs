//! What reaches the backend, and what comes back.

use std::{io::Write, sync::atomic::Ordering::SeqCst};

use dataplane::limit::Limit;

use crate::{backend, plane::Plane};

#[test]
fn the_target_is_byte_exact_and_the_hop_is_named() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let answer = plane
        .connect()
        .send(
            "PROPFIND /a%2Fb/../c?x=%zz&&y=' HTTP/1.1\r\nHost: Example.com:81\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
        )
        .answer();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(answer.header("via"), Some("1.1 balancer"));
    assert_eq!(answer.header("ratelimit"), None, "an unlimited client is told no limit");
    let request = seen.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(request.starts_with("propfind /a%2fb/../c?x=%zz&&y=' http/1.1\r\n"), "{request}");
    for line in ["host: example.com:81", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "via: 1.1 balancer"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
    assert!(!request.contains("x-hop") && !request.contains("connection"), "{request}");
}

#[test]
fn over_the_limit_is_a_problem_with_a_time_to_come_back() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], Some(Limit::new(2.0, 0.1).unwrap()));
    let mut client = plane.connect();
    let allowed = client.get("/");
    assert_eq!(allowed.header("ratelimit-policy"), Some("\"default\";q=2;w=20"));
    assert_eq!(allowed.header("ratelimit"), Some("\"default\";r=1;t=10"));
    assert_eq!(client.get("/").status, 200);
    let refused = client.get("/");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(matches!(refused.header("retry-after"), Some("9" | "10")), "{refused:?}");
    assert_eq!(refused.header("x-request-id").map(str::len), Some(32));
    assert_eq!(seen.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_backend_that_refuses_connections_costs_no_request() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[backend::nobody(), address], None);
    let mut client = plane.connect();
    for _ in 0..20 {
        assert_eq!(client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").answer().status, 200);
    }
    assert_eq!(seen.requests.lock().unwrap().len(), 20);
}

#[test]
fn nobody_to_connect_to_is_503_and_garbage_is_502() {
    let plane = Plane::start(&[backend::nobody()], None);
    assert_eq!(plane.connect().get("/").status, 503);
    assert_eq!(Plane::start(&[], None).connect().get("/").status, 503);
    let (garbage, _) = backend::start(|_, stream| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").is_err());
    assert_eq!(Plane::start(&[garbage], None).connect().get("/").status, 502);
}

#[test]
fn a_body_broken_off_by_the_backend_is_visibly_broken() {
    let (address, _) = backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").is_err()
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let rest = client.rest();
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[test]
fn connections_to_a_backend_are_used_again() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(seen.connections.load(SeqCst), 1);
}
