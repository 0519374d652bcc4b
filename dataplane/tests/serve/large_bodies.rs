//! Bodies so large that they pass through pipes: every byte arrives, once and where it belongs, whatever becomes of others.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::atomic::Ordering::SeqCst,
};

use dataplane::traffic::Failure;

use crate::{backend, plane::Plane};

const KIB: usize = 1024;
/// Below, at and above what is read, what is piped, and what a pipe holds.
const SIZES: [usize; 12] =
    [1, 100 * KIB, 13, 64 * KIB, 64 * KIB - 1, 80 * KIB, 300 * KIB + 7, 0, 16 * KIB, 3 * KIB * KIB, 128 * KIB, 8 * KIB];
const SLOW_CLIENTS: usize = 20;

/// Letters that differ from place to place and from seed to seed.
fn stream_of_letters(seed: usize) -> impl Iterator<Item = u8> {
    let mut state = seed as u64 + 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + (state >> 33) as u8 % 26
    })
}

fn letters(seed: usize, length: usize) -> Vec<u8> {
    stream_of_letters(seed).take(length).collect()
}

fn path(seed: usize, length: usize) -> String {
    format!("/{seed}/{length}")
}

/// Writes the answer that a request's path asks for: all of it, or as much as `cut` leaves.
fn answer(request: &str, stream: &mut TcpStream, cut: Option<usize>) -> bool {
    let mut numbers = request.split([' ', '/']).filter_map(|part| part.parse::<usize>().ok());
    let (seed, length) = (numbers.next().unwrap(), numbers.next().unwrap());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let mut bytes = head.into_iter().chain(stream_of_letters(seed).take(cut.unwrap_or(length)));
    // In pieces of many lengths, which the proxy may or may not see as one.
    for length in (1..).map(|number| (number * 7919) % 50_000 + 1) {
        let piece: Vec<_> = bytes.by_ref().take(length).collect();
        if piece.is_empty() {
            break;
        }
        if stream.write_all(&piece).is_err() {
            return false;
        }
    }
    cut.is_none()
}

fn whole(request: &str, stream: &mut TcpStream) -> bool {
    answer(request, stream, None)
}

fn assert_same(seen: &[u8], expected: &[u8], what: &str) {
    let differs = seen.iter().zip(expected).position(|(a, b)| a != b);
    assert!(seen.len() == expected.len() && differs.is_none(), "{what}: {} bytes, differ at {differs:?}", seen.len());
}

fn assert_served(plane: &Plane, seed: usize) {
    let answer = plane.connect().get(&path(seed, 300 * KIB));
    assert_same(&answer.body, &letters(seed, 300 * KIB), "another client");
}

#[test]
fn answers_arrive_byte_for_byte_on_connections_that_stay() {
    let (address, seen) = backend::start(whole);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for (seed, size) in SIZES.into_iter().cycle().take(5 * SIZES.len()).enumerate() {
        let answer = client.get(&path(seed, size));
        assert_same(&answer.body, &letters(seed, size), &format!("answer {seed}"));
    }
    assert_eq!(seen.connections.load(SeqCst), 1);
}

#[test]
fn requests_arrive_byte_for_byte_and_what_is_sent_behind_them_too() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for (seed, size) in SIZES.into_iter().enumerate() {
        let head = format!("POST /{seed} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n");
        let pipelined = format!("GET /behind/{seed} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send_bytes(&[head.as_bytes(), &letters(seed, size), pipelined.as_bytes()].concat());
        assert_eq!((client.answer().status, client.answer().status), (200, 200));
    }
    let requests = seen.requests.lock().unwrap();
    assert_eq!((requests.len(), seen.connections.load(SeqCst)), (2 * SIZES.len(), 1));
    for (seed, pair) in requests.chunks(2).enumerate() {
        let (_, body) = pair[0].split_once("\r\n\r\n").unwrap();
        assert_same(body.as_bytes(), &letters(seed, SIZES[seed]), &format!("request {seed}"));
        assert!(pair[1].starts_with(&format!("GET /behind/{seed} ")), "{}", pair[1]);
    }
}

#[test]
fn a_request_behind_a_large_answer_gets_its_own() {
    let (address, _) = backend::start(whole);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let get = |seed| format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path(seed, SIZES[seed]));
    client.send(&(0..SIZES.len()).map(get).collect::<String>());
    for (seed, size) in SIZES.into_iter().enumerate() {
        assert_same(&client.answer().body, &letters(seed, size), &format!("answer {seed}"));
    }
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_and_spoils_no_other() {
    const CUT: usize = 500 * KIB;
    let cuts = |request: &str| request.contains("/cut/").then_some(CUT);
    let (address, seen) = backend::start(move |request, stream| answer(request, stream, cuts(request)));
    let plane = Plane::start(&[address], None);
    for round in 0..5 {
        let mut client = plane.connect();
        let rest = client.send(&format!("GET /cut{} HTTP/1.1\r\nHost: h\r\n\r\n", path(round, 1000 * KIB))).rest();
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("content-length: 1024000"), "{head}");
        assert_same(body.as_bytes(), &letters(round, 1000 * KIB)[..CUT], "what came before the cut");
        assert_served(&plane, round);
    }
    let failures = |plane: &Plane| {
        let snapshot = plane.shared.snapshot.load_full().unwrap();
        snapshot.pool.backends()[0].state.traffic.failures(Failure::CutOff)
    };
    assert_eq!(failures(&plane), 5);
    assert!(seen.connections.load(SeqCst) > 5, "a connection that broke off is not used again");
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_to_others() {
    let (address, _) = backend::start(whole);
    let plane = Plane::start(&[address], None);
    for round in 0..20 {
        let mut leaver = plane.connect();
        leaver.send(&format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path(1000 + round, 16 * KIB * KIB)));
        leaver.exactly(100_000);
        drop(leaver);
        assert_served(&plane, round);
        let mut leaver = plane.connect();
        leaver.send("POST /1/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n");
        leaver.send_bytes(&letters(2000 + round, 500_000));
        drop(leaver);
        assert_served(&plane, round);
    }
}

#[test]
fn those_who_do_not_read_hold_up_nobody_and_lose_nothing() {
    const SIZE: usize = 6 * KIB * KIB;
    let (address, _) = backend::start(whole);
    let plane = Plane::start(&[address], None);
    let ask = |seed| {
        let mut client = plane.connect();
        client.send(&format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path(seed, SIZE)));
        client.exactly(10);
        client
    };
    let slow: Vec<_> = (0..SLOW_CLIENTS).map(ask).collect();
    (0..10).for_each(|seed| assert_served(&plane, seed));
    for (seed, mut client) in slow.into_iter().enumerate() {
        let head = client.exactly(b"HTTP/1.1 200 OK\r\nContent-Length: 6291456\r\n".len() - 10);
        assert!(head.ends_with(b"Content-Length: 6291456\r\n"), "{:?}", String::from_utf8_lossy(&head));
        let mut line_end = [0; 4];
        while line_end != *b"\r\n\r\n" {
            line_end.rotate_left(1);
            line_end[3] = client.exactly(1)[0];
        }
        assert_same(&client.exactly(SIZE), &letters(seed, SIZE), "a slow client");
    }
}

#[test]
fn a_backend_that_answers_early_ends_the_request() {
    let (address, _) = refusing_backend();
    let plane = Plane::start(&[address], None);
    for _ in 0..10 {
        let mut client = plane.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n").send_bytes(&letters(1, 900_000));
        assert_eq!(client.answer().status, 403);
    }
}

/// Reads no body, and says so.
fn refusing_backend() -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 1];
            if std::io::Read::read_exact(&mut stream, &mut head).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
            }
            // Closing it would reset it: it has not read all.
            kept.push(stream);
        }
    });
    (address, thread)
}
