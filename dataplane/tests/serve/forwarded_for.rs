//! `X-Forwarded-For`: whose limit it is, and what the backend reads.

use std::net::SocketAddr;

use dataplane::{client::ClientRules, limit::Limit, server::ServeOptions};

use crate::{
    backend,
    plane::{Plane, snapshot},
};

/// 198.51.100.9 and 2001:db8::9 may; everybody else may not.
fn plane(backend: SocketAddr, trusted: &[&str]) -> Plane {
    let mut held = snapshot(&[backend], Some(Limit::new(1.0, 0.0).unwrap()));
    held.client_rules = ClientRules {
        trusted_proxies: trusted.iter().map(|network| network.parse().unwrap()).collect(),
        ipv6_prefix: 64,
        ..ClientRules::default()
    };
    for id in ["198.51.100.9", "2001:db8::9"] {
        held.limits.insert(id, Limit::new(1000.0, 1000.0).unwrap());
    }
    Plane::start_over(held, ServeOptions::default())
}

/// How the limit of a request with these fields is called: its policy says the capacity.
fn policy(plane: &Plane, fields: &[&str]) -> Option<String> {
    let lines: String = fields.iter().map(|field| format!("X-Forwarded-For: {field}\r\n")).collect();
    let answer = plane.connect().send(&format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).answer();
    answer.header("ratelimit-policy").map(str::to_owned)
}

#[test]
fn the_nearest_address_that_is_no_trusted_proxy_is_the_client() {
    let (address, _) = backend::start(backend::ok);
    let plane = plane(address, &["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"]);
    let allowed = policy(&plane, &["198.51.100.9"]);
    assert!(allowed.as_ref().is_some_and(|p| p.contains("q=1000")), "{allowed:?}");
    for fields in [
        &["203.0.113.1", "198.51.100.9"][..],
        &["203.0.113.1, 198.51.100.9, 10.0.0.2"],
        &["203.0.113.1, 198.51.100.9", "10.0.0.2, fd00::1"],
        &["198.51.100.9:4242"],
        &["198.51.100.9, ,10.0.0.2:80,"],
        &["::ffff:198.51.100.9"],
        &["[::ffff:198.51.100.9]:4242"],
        &["198.51.100.9, ::ffff:10.0.0.2"],
        &["2001:db8::9"],
        &["[2001:db8::9]"],
        &["[2001:db8::9]:4242"],
        &["2001:0DB8:0:0::0009"],
        &["not an address, 2001:db8::9"],
    ] {
        assert_eq!(policy(&plane, fields), allowed, "{fields:?}");
    }
    for fields in [
        &["198.51.100.9", "203.0.113.1"][..],
        &["198.51.100.9, 203.0.113.1"],
        &["198.51.100.9, unknown"],
        &["198.51.100.9, [2001:db8::9"],
        &["198.51.100.9, 10.0.0.2:99999"],
        &["198.51.100.99"],
        &["2001:db8::a"],
    ] {
        assert_ne!(policy(&plane, fields), allowed, "{fields:?}");
    }
}

#[test]
fn a_stranger_s_word_counts_for_nothing() {
    let (address, _) = backend::start(backend::ok);
    let plane = plane(address, &["10.0.0.0/8"]);
    let (stranger, claimed) = (policy(&plane, &[]), policy(&plane, &["198.51.100.9"]));
    assert_eq!(stranger, claimed);
}

#[test]
fn the_backend_reads_one_line_that_ends_with_the_peer() {
    let (address, seen) = backend::start(backend::ok);
    let plane = plane(address, &["127.0.0.0/8"]);
    policy(&plane, &["203.0.113.1, [2001:db8::9]:4242", "198.51.100.9"]);
    let request = seen.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert_eq!(request.matches("x-forwarded-for").count(), 1, "{request}");
    let line = "\r\nx-forwarded-for: 203.0.113.1, [2001:db8::9]:4242, 198.51.100.9, 127.0.0.1\r\n";
    assert!(request.contains(line), "{request}");
}
