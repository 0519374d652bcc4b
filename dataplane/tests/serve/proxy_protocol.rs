//! A balancer in front says who the client is.

use std::time::Duration;

use dataplane::{
    limit::Limit,
    metrics::RefusedConnection,
    server::{Announcers, ConnectionCaps, ProxyOptions, ServeOptions},
};

use crate::{
    backend,
    plane::{Plane, snapshot},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn options(from: &str) -> ServeOptions {
    let proxy = ProxyOptions { header_timeout: Duration::from_millis(300), ..ProxyOptions::default() };
    let announcers = Some(Announcers::new(vec![from.parse().unwrap()]));
    ServeOptions { proxy, announcers, ..ServeOptions::default() }
}

/// A header of version 2 for a client at 203.0.113.9:4242, with an extension behind it.
fn v2(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 9, 127, 0, 0, 1, 0x10, 0x92, 0, 80];
    [V2, &[command, 0x11, 0, 16], &addresses, &[0x05, 0, 1, b'x']].concat()
}

#[test]
fn the_client_it_names_is_the_peer() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, options("127.0.0.0/8"));
    for (header, client) in [
        (b"PROXY TCP4 203.0.113.7 127.0.0.1 4242 80\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4242 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.8 ::1 4242 80\r\n".to_vec(), "203.0.113.8"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21), "203.0.113.9"),
        (v2(0x20), "127.0.0.1"),
    ] {
        let mut together = plane.connect();
        together.send_bytes(&header).send(GET);
        assert_eq!(together.answer().status, 200, "{header:?}");
        assert_eq!(together.get("/again").status, 200);
        for request in seen.requests.lock().unwrap().drain(..) {
            let line = format!("\r\nx-forwarded-for: {client}\r\n");
            assert!(request.to_ascii_lowercase().contains(&line), "{line} in {request}");
        }
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let (address, _) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, options("127.0.0.0/8"));
    for header in [b"PROXY TCP4 203.0.113.7 127.0.0.1 4242 80\r\n".to_vec(), v2(0x21)] {
        let mut client = plane.connect();
        for byte in [&header[..], GET.as_bytes()].concat() {
            client.send_bytes(&[byte]);
        }
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn limits_go_by_the_client_that_is_named() {
    let (address, _) = backend::start(backend::ok);
    let mut held = snapshot(&[address], Some(Limit::new(1.0, 0.0).unwrap()));
    held.limits.insert("203.0.113.7:4242", Limit::new(3.0, 0.0).unwrap());
    let plane = Plane::start_over(held, options("127.0.0.0/8"));
    let admitted = |client: &str| {
        let mut connection = plane.connect();
        connection.send(&format!("PROXY TCP4 {client} 80\r\n"));
        (0..5).filter(|_| connection.get("/").status == 200).count()
    };
    assert_eq!(admitted("203.0.113.7 127.0.0.1 4242"), 3);
    assert_eq!(admitted("203.0.113.7 127.0.0.1 4243"), 1);
    assert_eq!(admitted("203.0.113.8 127.0.0.1 4242"), 1);
}

#[test]
fn the_cap_per_address_goes_by_the_client_that_is_named() {
    let (address, _) = backend::start(backend::ok);
    let caps = ConnectionCaps { max: 0, per_client: 1 };
    let plane = Plane::start_with(&[address], None, ServeOptions { caps, ..options("127.0.0.0/8") });
    let connect = |ip: &str| {
        let mut client = plane.connect();
        client.send(&format!("PROXY TCP4 {ip} 127.0.0.1 4242 80\r\n"));
        let status = client.get("/").status;
        (status, client)
    };
    let (first, _held) = connect("203.0.113.7");
    assert_eq!((first, connect("203.0.113.7").0, connect("203.0.113.8").0), (200, 503, 200));
}

#[test]
fn without_a_good_header_in_time_there_is_no_service() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, options("127.0.0.0/8"));
    let bad_v2 = [V2, &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat();
    let huge_v2 = [V2, &[0x21, 0x11, 0xff, 0xff]].concat();
    for header in [GET.as_bytes(), b"PROXY TCP4 x y 1 2\r\n", &bad_v2, &huge_v2, b"PROXY TCP4 1.1.1.1", b""] {
        let mut client = plane.connect();
        assert_eq!(client.send_bytes(header).rest(), "", "{header:?}");
    }
    assert_eq!(seen.requests.lock().unwrap().len(), 0);
    assert_eq!(plane.shared.metrics.connections.refused_total(RefusedConnection::ProxyProtocol), 6);
}

#[test]
fn a_stranger_cannot_claim_to_be_anybody() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start_with(&[address], None, options("10.0.0.0/8"));
    let mut client = plane.connect();
    assert_eq!(client.send("PROXY TCP4 203.0.113.7 127.0.0.1 4242 80\r\n").rest(), "");
    let mut plain = plane.connect();
    assert_eq!(plain.send(GET).rest(), "");
    assert_eq!(seen.requests.lock().unwrap().len(), 0);
}

#[test]
fn where_it_is_off_a_header_is_a_bad_request() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let answer = client.send("PROXY TCP4 203.0.113.7 127.0.0.1 4242 80\r\n").send(GET).answer();
    assert_eq!(answer.status, 400);
    assert_eq!(seen.requests.lock().unwrap().len(), 0);
}
