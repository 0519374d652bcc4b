//! OPTIONS: how far it goes, and about what it asks.

use crate::{backend, plane::Plane};

#[test]
fn max_forwards_counts_down_and_ends_here_at_0() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let mut ask = |lines: &str| {
        let answer = client.send(&format!("OPTIONS /x HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).answer();
        (answer.status, answer.header("content-length").map(str::to_owned), seen.requests.lock().unwrap().pop())
    };
    assert_eq!(ask("Max-Forwards: 0\r\n"), (200, Some("0".into()), None));
    assert_eq!(ask("Max-Forwards: 000\r\n"), (200, Some("0".into()), None));
    for (given, sent) in [("1", "0"), ("10", "9"), ("007", "6"), ("99999999999999999999999", "9223372036854775806")] {
        let request = ask(&format!("Max-Forwards: {given}\r\n")).2.unwrap().to_ascii_lowercase();
        assert!(request.contains(&format!("\r\nmax-forwards: {sent}\r\n")), "{given}: {request}");
    }
    for unusable in ["", "-1", "x", "1, 0"] {
        let (status, _, request) = ask(&format!("Max-Forwards: {unusable}\r\n"));
        assert_eq!(status, 200);
        assert!(request.is_some(), "{unusable:?} is passed on");
    }
}

#[test]
fn max_forwards_of_other_methods_is_passed_on() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    plane.connect().send("GET / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n").answer();
    let request = seen.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(request.contains("\r\nmax-forwards: 0\r\n"), "{request}");
}

#[test]
fn a_target_without_a_path_asks_about_the_server() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    let cases = [
        ("OPTIONS *", "OPTIONS *"),
        ("OPTIONS http://h", "OPTIONS *"),
        ("OPTIONS http://h/", "OPTIONS /"),
        ("OPTIONS http://h?q", "OPTIONS /?q"),
        ("OPTIONS http://h", "OPTIONS *"),
        ("GET http://h", "GET /"),
        ("GET http://h?q", "GET /?q"),
    ];
    let together: String = cases.iter().map(|(target, _)| format!("{target} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(&together);
    for (target, sent) in cases {
        assert_eq!(client.answer().status, 200);
        let request = seen.requests.lock().unwrap().remove(0);
        let (line, host) = (format!("{sent} HTTP/1.1\r\n"), "\r\nhost: h\r\n");
        assert!(request.starts_with(&line) && request.to_ascii_lowercase().contains(host), "{target}: {request}");
    }
}
