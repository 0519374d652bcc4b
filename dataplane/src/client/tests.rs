use proptest::{collection::vec, prelude::*};

use super::*;

fn limit(capacity: f64) -> Limit {
    Limit::new(capacity, 1.0).unwrap()
}

fn rules() -> ClientRules {
    ClientRules {
        header: Some(HeaderName::from_static("x-api-key")),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        ipv6_prefix: 64,
    }
}

fn limits(ids: &[&str]) -> Limits {
    let mut limits = Limits::default();
    for (capacity, id) in (1u32..).zip(ids) {
        limits.insert(id, limit(f64::from(capacity)));
    }
    limits
}

/// The head of a request with these fields.
fn headers<V: AsRef<[u8]>>(fields: &[(&'static str, V)]) -> Head {
    let mut text = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
    for (name, value) in fields {
        text.extend_from_slice(&[name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    let mut head = Head::default();
    head.scan(&text, &mut 0).unwrap().unwrap();
    head
}

fn client(ids: &[&str], fields: &[(&'static str, &str)], peer: &str) -> Client {
    identify(&rules(), &limits(ids), Some(limit(5.0)), &headers(fields), peer.parse().unwrap())
}

/// The address found for a peer that sent these `X-Forwarded-For` fields.
fn forwarded(peer: &str, fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| ("x-forwarded-for", *field)).collect();
    client(&[], &fields, peer).address.to_string()
}

#[test]
fn the_header_counts_only_if_a_limit_names_its_value() {
    let known = client(&["gold"], &[("x-api-key", "gold")], "1.1.1.1:1");
    assert_eq!((known.kind, known.limit, known.key), (LimitKind::Client, Some(limit(1.0)), client_key("gold")));
    let plain = client(&["gold"], &[], "1.1.1.1:1");
    for invented in ["", "Gold", "gold x", "silver", "1.1.1.2"] {
        assert_eq!(client(&["gold"], &[("x-api-key", invented)], "1.1.1.1:1"), plain, "{invented:?}");
    }
    assert_eq!(plain.kind, LimitKind::Default);
}

#[test]
fn the_header_beats_ip_port_beats_ip_beats_the_default() {
    let ids = ["key", "1.1.1.1:80", "1.1.1.1"];
    let capacity = |fields: &[_], peer| client(&ids, fields, peer).limit.unwrap().capacity();
    assert_eq!(capacity(&[("x-api-key", "key")], "1.1.1.1:80"), 1.0);
    assert_eq!(capacity(&[], "1.1.1.1:80"), 2.0);
    assert_eq!(capacity(&[], "1.1.1.1:81"), 3.0);
    assert_eq!(capacity(&[], "1.1.1.2:80"), 5.0);
}

#[test]
fn without_a_header_rule_no_header_counts() {
    let rules = ClientRules { header: None, ..rules() };
    let found = identify(&rules, &limits(&["k"]), None, &headers(&[("x-api-key", "k")]), "1.1.1.1:1".parse().unwrap());
    assert_eq!((found.kind, found.limit), (LimitKind::Default, None));
}

#[test]
fn a_header_value_may_hold_letters_beyond_ascii_and_may_be_no_text() {
    assert_eq!(client(&["clé"], &[("x-api-key", "clé")], "1.1.1.1:1").kind, LimitKind::Client);
    let fields = headers(&[("x-api-key", b"\xff\xfe")]);
    let found = identify(&rules(), &limits(&["k"]), None, &fields, "1.1.1.1:1".parse().unwrap());
    assert_eq!(found.kind, LimitKind::Default);
}

#[test]
fn ipv4_inside_ipv6_is_ipv4() {
    assert_eq!(client(&["1.1.1.1:80"], &[], "[::ffff:1.1.1.1]:80"), client(&["1.1.1.1:80"], &[], "1.1.1.1:80"));
    assert_eq!(client(&[], &[], "[::ffff:1.1.1.1]:80"), client(&[], &[], "1.1.1.1:9"));
    assert_eq!(forwarded("[::ffff:10.0.0.1]:80", &["2.2.2.2"]), "2.2.2.2");
}

#[test]
fn ipv6_clients_share_the_bucket_of_their_network() {
    let key = |peer| client(&[], &[], peer).key;
    assert_eq!(key("[2001:db8::1]:1"), key("[2001:db8::ffff:2]:2"));
    assert_ne!(key("[2001:db8::1]:1"), key("[2001:db8:0:1::1]:1"));
    assert_ne!(key("1.1.1.1:1"), key("1.1.1.2:1"));
    let named = client(&["2001:db8::1"], &[], "[2001:db8::1]:1");
    assert_eq!((named.kind, named.key), (LimitKind::Client, client_key("2001:db8::1")));
    assert_eq!(client(&["[2001:db8::1]:7"], &[], "[2001:db8::1]:7").kind, LimitKind::Client);
}

#[test]
fn forwarded_counts_only_from_a_trusted_peer() {
    assert_eq!(forwarded("1.1.1.1:1", &["2.2.2.2"]), "1.1.1.1");
    assert_eq!(forwarded("10.0.0.1:1", &["2.2.2.2"]), "2.2.2.2");
    assert_eq!(forwarded("[fd00::1]:1", &["2.2.2.2"]), "2.2.2.2");
    assert_eq!(forwarded("10.0.0.1:1", &[]), "10.0.0.1");
}

#[test]
fn forwarded_is_read_from_the_right_over_all_fields() {
    for fields in [
        &["6.6.6.6, 2.2.2.2, 10.0.0.2"][..],
        &["6.6.6.6", "2.2.2.2", "10.0.0.2"],
        &["6.6.6.6,2.2.2.2", " 10.0.0.3 ,\t10.0.0.2 "],
        &["garbage, 2.2.2.2, , 10.0.0.2,"],
        &["6.6.6.6, 2.2.2.2:8080, 10.0.0.2:99"],
    ] {
        assert_eq!(forwarded("10.0.0.1:1", fields), "2.2.2.2", "{fields:?}");
    }
}

#[test]
fn forwarded_ends_at_garbage_with_the_last_address_that_was_one() {
    assert_eq!(forwarded("10.0.0.1:1", &["2.2.2.2, unknown, 10.0.0.2"]), "10.0.0.2");
    assert_eq!(forwarded("10.0.0.1:1", &["2.2.2.2, 3.3.3.3.3"]), "10.0.0.1");
    assert_eq!(forwarded("10.0.0.1:1", &["10.0.0.4, 10.0.0.3"]), "10.0.0.4");
}

#[test]
fn ip_port_of_a_forwarded_client_needs_its_port() {
    let found = |field| client(&["2.2.2.2:80"], &[("x-forwarded-for", field)], "10.0.0.1:80").kind;
    assert_eq!(found("2.2.2.2:80"), LimitKind::Client);
    assert_eq!(found("2.2.2.2"), LimitKind::Default);
}

#[test]
fn the_stable_hash_is_the_same_everywhere_forever() {
    assert_eq!(client(&["gold"], &[("x-api-key", "gold")], "1.1.1.1:1").stable_hash, xxh3_64(b"gold"));
    assert_eq!(client(&[], &[], "1.1.1.1:1").stable_hash, xxh3_64(&[1, 1, 1, 1]));
}

proptest! {
    #[test]
    fn no_header_lets_an_untrusted_peer_change_who_it_is(
        key in vec(any::<u8>(), 0..40), forwarded in vec(vec(any::<u8>(), 0..40), 0..4), ip: [u8; 4], port: u16,
    ) {
        prop_assume!(ip[0] != 10);
        let may_be_sent = |value: &[u8]| http::HeaderValue::from_bytes(value).is_ok();
        let values = forwarded.iter().map(|value| ("x-forwarded-for", value)).chain([("x-api-key", &key)]);
        let values: Vec<_> = values.filter(|(_, value)| may_be_sent(value)).collect();
        let fields = headers(&values);
        let peer = SocketAddr::from((ip, port));
        let found = identify(&rules(), &limits(&["a-known-client"]), Some(limit(5.0)), &fields, peer);
        let plain = identify(&rules(), &Limits::default(), Some(limit(5.0)), &headers::<&str>(&[]), peer);
        prop_assert_eq!(found, plain);
    }

    #[test]
    fn a_trusted_peer_never_makes_it_panic(forwarded in "[ -~]{0,60}") {
        let fields = headers(&[("x-forwarded-for", &forwarded)]);
        identify(&rules(), &limits(&["x"]), None, &fields, "10.0.0.1:1".parse().unwrap());
    }
}
