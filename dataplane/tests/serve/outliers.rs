//! Backends that fail while they can be connected to, and backends that are full.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use dataplane::{
    pool::PoolRules,
    server::{ProxyOptions, ServeOptions},
};

use crate::{
    backend::{self, Seen},
    plane::Plane,
};

/// Rules whose ejections outlast a test.
fn long_ejections() -> PoolRules {
    let mut rules = PoolRules::default();
    (rules.outlier.first_ejection_ns, rules.outlier.longest_ejection_ns) = (600_000_000_000, 600_000_000_000);
    rules
}

fn start(backends: &[SocketAddr], pool: PoolRules, queue_timeout: Duration) -> Plane {
    let proxy = ProxyOptions { pool, queue_timeout, ..ProxyOptions::default() };
    Plane::start_with(backends, None, ServeOptions { proxy, ..ServeOptions::default() })
}

fn requests(seen: &Seen) -> usize {
    seen.requests.lock().unwrap().len()
}

const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_backend_that_resets_or_talks_garbage_gets_five_requests_and_no_more() {
    let reset = |_: &str, _: &mut TcpStream| false;
    let garbage = |_: &str, stream: &mut TcpStream| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").is_err();
    for (bad, seen) in [backend::start(reset), backend::start(garbage)] {
        let (good, _) = backend::start(backend::ok);
        let plane = start(&[bad, good], long_ejections(), Duration::ZERO);
        let mut client = plane.connect();
        let statuses: Vec<_> = (0..100).map(|_| client.send(POST).answer().status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 5, "{statuses:?}");
        assert_eq!(requests(&seen), 5);
    }
}

#[test]
fn half_of_the_pool_stays_whatever_it_does() {
    let bad: Vec<_> = (0..4).map(|_| backend::start(|_, _| false)).collect();
    let addresses: Vec<_> = bad.iter().map(|(address, _)| *address).collect();
    let plane = start(&addresses, long_ejections(), Duration::ZERO);
    let mut client = plane.connect();
    for _ in 0..100 {
        assert_eq!(client.send(POST).answer().status, 502);
    }
    let mut counts: Vec<_> = bad.iter().map(|(_, seen)| requests(seen)).collect();
    counts.sort_unstable();
    assert_eq!(counts[..2], [5, 5], "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 100);
}

#[test]
fn a_backend_of_too_few_successes_is_ejected_within_seconds() {
    let (bad, seen) = backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let (good, _) = backend::start(backend::ok);
    let plane = start(&[bad, good], long_ejections(), Duration::ZERO);
    let mut client = plane.connect();
    let mut since_last_error = 0;
    // Before the ejection every second request meets the bad one.
    while since_last_error < 1000 {
        since_last_error = if client.get("/").status == 500 { 0 } else { since_last_error + 1 };
    }
    assert!(requests(&seen) >= 20);
}

#[test]
fn a_backend_that_breaks_its_answers_off_is_ejected_too() {
    let (bad, _) = backend::start(|_, stream| {
        // The close makes it a broken answer.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        false
    });
    let (good, _) = backend::start(backend::ok);
    let plane = start(&[bad, good], long_ejections(), Duration::ZERO);
    let mut since_last_break = 0;
    while since_last_break < 200 {
        let rest = plane.connect().send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").rest();
        since_last_break = if rest.ends_with("hello") { 0 } else { since_last_break + 1 };
    }
}

#[test]
fn a_backend_that_is_silent_is_ejected_and_a_client_that_breaks_off_is_nobodys_fault() {
    let (slow, seen) = backend::start(|request, stream| {
        request.starts_with("POST") && backend::ok(request, stream) || {
            let mut closed = [0];
            stream.read(&mut closed).is_err()
        }
    });
    let (good, _) = backend::start(backend::ok);
    let mut pool = long_ejections();
    pool.outlier.consecutive_failures = 2;
    let proxy = ProxyOptions { pool, response_timeout: Duration::from_millis(100), ..ProxyOptions::default() };
    let plane = Plane::start_with(&[slow, good], None, ServeOptions { proxy, ..ServeOptions::default() });
    for _ in 0..20 {
        plane.connect().send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhi");
    }
    let mut client = plane.connect();
    let statuses: Vec<_> = (0..20).map(|_| client.get("/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 2, "{statuses:?}");
    assert_eq!(seen.requests.lock().unwrap().iter().filter(|request| request.starts_with("GET")).count(), 2);
}

#[test]
fn a_backend_returns_when_its_ejection_is_over() {
    let bad = Arc::new(AtomicBool::new(true));
    let (first, seen) = backend::start({
        let bad = bad.clone();
        move |request, stream| !bad.load(SeqCst) && backend::ok(request, stream)
    });
    let (second, _) = backend::start(backend::ok);
    let mut rules = PoolRules::default();
    rules.outlier.first_ejection_ns = 200_000_000;
    let plane = start(&[first, second], rules, Duration::ZERO);
    let mut client = plane.connect();
    let errors = (0..20).filter(|_| client.send(POST).answer().status == 502).count();
    assert!(errors >= 5);
    bad.store(false, SeqCst);
    let before = requests(&seen);
    while requests(&seen) < before + 100 {
        assert_eq!(client.send(POST).answer().status, 200);
    }
}

/// Answers only when told to, one request for each time.
#[derive(Default)]
struct Gate(Mutex<usize>, Condvar);

impl Gate {
    fn open(&self, requests: usize) {
        *self.0.lock().unwrap() += requests;
        self.1.notify_all();
    }

    fn pass(&self) {
        let mut left = self.1.wait_while(self.0.lock().unwrap(), |left| *left == 0).unwrap();
        *left -= 1;
    }
}

fn gated() -> (SocketAddr, Arc<Seen>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let (address, seen) = backend::start({
        let gate = gate.clone();
        move |request, stream| {
            gate.pass();
            backend::ok(request, stream)
        }
    });
    (address, seen, gate)
}

#[test]
fn a_full_backend_is_spared_and_who_waits_too_long_is_told_to_come_back() {
    let (address, seen, gate) = gated();
    let rules = PoolRules { max_in_flight: 1, ..PoolRules::default() };
    let plane = start(&[address], rules, Duration::from_millis(50));
    let mut first = plane.connect();
    first.send(POST);
    while requests(&seen) == 0 {
        thread::yield_now();
    }
    let refused = plane.connect().send(POST).answer();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    gate.open(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(plane.connect().send(POST).answer().status, 200);
    assert_eq!(requests(&seen), 2, "the refused one never came");
}

#[test]
fn who_waits_is_served_when_there_is_room_and_never_more_at_once_than_allowed() {
    let (busiest, now) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (address, seen) = backend::start({
        let (busiest, now) = (busiest.clone(), now.clone());
        move |request, stream| {
            let here = {
                let mut now = now.lock().unwrap();
                *now += 1;
                *now
            };
            let mut most = busiest.lock().unwrap();
            *most = here.max(*most);
            drop(most);
            thread::yield_now();
            *now.lock().unwrap() -= 1;
            backend::ok(request, stream)
        }
    });
    let rules = PoolRules { max_in_flight: 3, ..PoolRules::default() };
    let plane = start(&[address], rules, Duration::from_secs(60));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = plane.connect();
                for _ in 0..50 {
                    assert_eq!(client.send(POST).answer().status, 200);
                }
            });
        }
    });
    assert_eq!(requests(&seen), 16 * 50);
    assert!(*busiest.lock().unwrap() <= 3);
}
