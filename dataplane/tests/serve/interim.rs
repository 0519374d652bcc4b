//! What backends say before they answer, and clients that are answered before they have asked.

use std::{io::Write, sync::atomic::Ordering::SeqCst};

use dataplane::limit::Limit;

use crate::{backend, plane::Plane};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn interim_answers_reach_who_knows_them_as_they_come() {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let (address, _) = backend::start(move |request, stream| {
        stream
            .write_all(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nTE: x\r\n\r\n")
            .unwrap();
        wait.lock().unwrap().recv().unwrap();
        backend::ok(request, stream)
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    client.send(GET);
    assert_eq!(client.answer().status, 102);
    let hints = client.answer();
    assert_eq!((hints.status, hints.header("link"), hints.header("te")), (103, Some("</x>"), None));
    go.send(()).unwrap();
    let last = client.answer();
    assert_eq!((last.status, last.body.as_slice(), last.header("link")), (200, &b"ok"[..], None));
    go.send(()).unwrap();
    let mut old = plane.connect();
    assert_eq!(old.send("GET / HTTP/1.0\r\n\r\n").answer().status, 200);
}

#[test]
fn a_refused_request_s_body_is_read_and_the_connection_kept() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], Some(Limit::new(1.0, 0.0).unwrap()));
    let mut client = plane.connect();
    assert_eq!(client.get("/").status, 200);
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        let refused =
            client.send(&format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{body}")).answer();
        assert_eq!((refused.status, refused.header("connection")), (429, None));
        let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(client.send(chunked).answer().status, 429);
    }
    let large = client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n").answer();
    assert_eq!((large.status, large.header("connection")), (429, Some("close")));
    assert_eq!(seen.requests.lock().unwrap().len(), 1);
}

#[test]
fn after_an_early_answer_of_a_backend_the_connection_is_kept() {
    let (address, seen) = backend::start(|request, stream| {
        let is_early = request.starts_with("POST");
        let status = if is_early { "413 Content Too Large" } else { "200 OK" };
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno").as_bytes()).unwrap();
        !is_early
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    // To this backend a chunked body is what follows a request.
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.get("/").status, 200);
    assert_eq!(seen.connections.load(SeqCst), 2, "the backend's connection is not");
}

#[test]
fn trailers_pass_where_they_are_announced_and_wanted() {
    let (address, _) = backend::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n";
        stream.write_all(format!("{head}2\r\nok\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n").as_bytes()).is_ok()
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for (te, end) in [("TE: gzip, trailers\r\n", "0\r\nX-T: 1\r\n\r\n"), ("", "0\r\n\r\n")] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: h\r\n{te}\r\n"));
        assert_eq!(client.answer().status, 200);
        assert_eq!(String::from_utf8(client.exactly(7 + end.len())).unwrap(), format!("2\r\nok\r\n{end}"));
    }
}

#[test]
fn trailers_of_a_request_pass_where_they_are_announced() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T, Host\r\n\r\n";
    let body = "2;a=b\r\nhi\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n";
    assert_eq!(plane.connect().send(&format!("{head}{body}")).answer().status, 200);
    // To this backend a chunked body is what follows a request.
    while seen.requests.lock().unwrap().len() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(seen.requests.lock().unwrap()[1], "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
}

#[test]
fn an_answer_that_ends_with_the_connection_becomes_chunks_or_ends_so_too() {
    let (address, _) = backend::start(|_, stream| {
        stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(100_000)).as_bytes()).unwrap();
        false
    });
    let plane = Plane::start(&[address], None);
    let mut new = plane.connect();
    new.send(GET);
    let head = new.answer();
    assert_eq!((head.header("transfer-encoding"), head.header("connection")), (Some("chunked"), None));
    new.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let rest = new.rest();
    assert_eq!(rest.matches("\r\n0\r\n\r\n").count(), 2, "two answers on one connection");
    assert_eq!(rest.matches('x').count(), 200_000);
    let old = plane.connect().send("GET / HTTP/1.0\r\n\r\n").rest();
    assert!(old.contains("Connection: close\r\n") && !old.contains("chunked"));
    assert!(old.ends_with(&format!("\r\n\r\n{}", "x".repeat(100_000))));
}
