use balancer_proto::v1 as wire;

use super::*;
use crate::fixtures;
use crate::pool::Scheme;

#[test]
fn a_limit_says_what_is_wrong_with_it() {
    assert_eq!(limit(&fixtures::limit("a", 2.5, 0.0)).unwrap(), Limit::new(2.5, 0.0).unwrap());
    let unset = wire::Limit { rate_per_sec: None, ..fixtures::limit("a", 1.0, 1.0) };
    for (bad, reason) in [
        (fixtures::limit("", 1.0, 1.0), "client_id"),
        (fixtures::limit("a\nb", 1.0, 1.0), "client_id"),
        (fixtures::limit(&"x".repeat(257), 1.0, 1.0), "client_id"),
        (fixtures::limit("a", 0.5, 1.0), "capacity 0.5"),
        (fixtures::limit("a", f64::NAN, 1.0), "capacity NaN"),
        (fixtures::limit("a", 1.0, -1.0), "rate_per_sec -1"),
        (fixtures::limit("a", 1.0, f64::INFINITY), "rate_per_sec inf"),
        (unset, "lacks"),
    ] {
        let refusal = limit(&bad).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn a_refusal_does_not_show_a_whole_key() {
    for bad in [fixtures::limit("key-0123456789", 0.0, 1.0), fixtures::limit("key-01234\n56789", 1.0, 1.0)] {
        let refusal = limit(&bad).unwrap_err().to_string();
        assert!(refusal.contains("\"key-\"…") && !refusal.contains("0123"), "{refusal}");
    }
}

#[test]
fn a_backend_is_an_authority_with_a_port() {
    for bad in [
        "",
        "127.0.0.1:80",
        "ftp://a:1",
        "https://a!:1",
        "http://a",
        "h2c://a",
        "http://a:0",
        "http://a:1/path",
        "http://u@a:1",
        "http://:1",
    ] {
        let pool = wire::Pool { backends: vec![fixtures::backend(7, bad)] };
        assert!(backends(&pool).unwrap_err().to_string().contains("backend 7"), "{bad:?}");
    }
    let pool = wire::Pool { backends: vec![fixtures::backend(7, "http://[::1]:80")] };
    assert_eq!(backends(&pool).unwrap()[0].authority.as_str(), "[::1]:80");
    for (scheme, url) in [(Scheme::Http, "http://a:1"), (Scheme::Https, "https://[::1]:1"), (Scheme::H2c, "h2c://a:1")]
    {
        let pool = wire::Pool { backends: vec![fixtures::backend(7, url)] };
        assert_eq!(backends(&pool).unwrap()[0].scheme, scheme);
    }
}

#[test]
fn a_backend_occurs_once_and_disabled_ones_are_left_out() {
    let (a, b) = (fixtures::backend(1, "http://a:1"), fixtures::backend(2, "http://b:1"));
    for twice in
        [vec![a.clone(), fixtures::backend(1, "http://c:1")], vec![a.clone(), fixtures::backend(3, "http://a:1")]]
    {
        assert!(backends(&wire::Pool { backends: twice }).unwrap_err().to_string().contains("twice"));
    }
    let disabled = wire::Backend { admin_state: wire::AdminState::Disabled.into(), ..a };
    let draining = wire::Backend { admin_state: wire::AdminState::Draining.into(), weight: 0, ..b };
    let specs = backends(&wire::Pool { backends: vec![disabled, draining] }).unwrap();
    assert_eq!((specs.len(), specs[0].id, specs[0].weight, specs[0].draining), (1, 2, 1, true));
}

#[test]
fn settings_must_say_everything() {
    let good = fixtures::settings();
    assert!(settings(&good).is_ok());
    let rules = |change: fn(&mut wire::ClientRules)| {
        let mut rules = good.client.clone().unwrap();
        change(&mut rules);
        wire::Settings { client: Some(rules), ..good.clone() }
    };
    for (bad, reason) in [
        (wire::Settings { default_limit: None, ..good.clone() }, "default limit"),
        (wire::Settings { strategy: 0, ..good.clone() }, "strategy"),
        (wire::Settings { strategy: 99, ..good.clone() }, "strategy 99"),
        (wire::Settings { client: None, ..good.clone() }, "client rules"),
        (
            wire::Settings { backend_tls: Some(wire::BackendTls { ca_pem: "?".into() }), ..good.clone() },
            "backend_tls.ca_pem: there is no certificate",
        ),
        (rules(|rules| rules.ipv6_prefix = 0), "ipv6_prefix 0"),
        (rules(|rules| rules.ipv6_prefix = 129), "ipv6_prefix 129"),
        (rules(|rules| rules.header = "a b".into()), "client.header"),
        (rules(|rules| rules.trusted_proxies = vec!["10.0.0.0/33".into()]), "trusted_proxies"),
    ] {
        let refusal = settings(&bad).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{refusal}");
    }
    assert!(settings(&rules(|rules| rules.trusted_proxies = vec!["10.1.2.3".into(), "::1".into()])).is_ok());
    assert_eq!(settings(&rules(|rules| rules.header = String::new())).unwrap().client_rules.header, None);
}

#[test]
fn unlimited_is_said_and_not_left_out() {
    let unlimited = Some(wire::settings::DefaultLimit::Unlimited(wire::Unlimited {}));
    let read = settings(&wire::Settings { default_limit: unlimited, ..fixtures::settings() }).unwrap();
    assert_eq!(read.default_limit, None);
}
