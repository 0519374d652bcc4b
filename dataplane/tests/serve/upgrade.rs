//! WebSocket tunnels.

use std::io::{Read, Write};

use crate::{backend, plane::Plane};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

#[test]
fn bytes_flow_both_ways_after_101_and_not_before() {
    let (address, seen) = backend::start(|_, stream| {
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello")
            .unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&[byte[0].to_ascii_uppercase()]).unwrap();
        }
        false
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let answer = client.send(&format!("{HANDSHAKE}early")).answer();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(client.exactly(10), b"helloEARLY");
    assert_eq!(client.send("late").exactly(4), b"LATE");
    assert!(!seen.requests.lock().unwrap()[0].contains("early"));
}

#[test]
fn without_101_the_next_request_is_a_request() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    client.send(&format!("{HANDSHAKE}GET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
    assert_eq!(seen.requests.lock().unwrap().len(), 2);
}

#[test]
fn other_upgrades_are_not_passed_on_and_an_unasked_101_is_502() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n\r\n";
    assert_eq!(plane.connect().send(h2c).answer().status, 200);
    assert!(!seen.requests.lock().unwrap()[0].to_ascii_lowercase().contains("upgrade"));
    let (switches, _) = backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").is_ok()
    });
    let plane = Plane::start(&[switches], None);
    assert_eq!(plane.connect().get("/").status, 502);
}
