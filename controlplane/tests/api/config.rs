//! The configuration: what is accepted, and what errors say.

use std::time::Duration;

use controlplane::{
    config::{self, Args, Config, ConfigError, PgArgs, Secret},
    domain::{DefaultLimit, LimitScope, Strategy},
};
use tempfile::TempDir;

/// Loads `yaml` under these flags; errors have the directory cut off.
fn load(yaml: &str, args: Args) -> Result<Config, String> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    let cut = |e: ConfigError| e.to_string().replace(&format!("{}/", dir.path().display()), "");
    config::load(&Args { config: Some(file), ..args }).map_err(cut)
}

fn error(yaml: &str) -> String {
    load(yaml, Args::default()).expect_err(yaml)
}

#[test]
fn legacy_file_loads_unchanged() {
    let yaml = "
server: { host: 127.0.0.1, port: 8080 }
ticker_rate_sec: 1
default_limits: { capacity: 5, rate_per_sec: 0.1 }
backend_list:
  - backend_url: http://127.0.0.1:8081
    config: { health: { method: HEAD, url: / } }
";
    let config = load(yaml, Args::default()).unwrap();
    assert_eq!((config.server.host.as_str(), config.server.port), ("127.0.0.1", 8080));
    assert_eq!(config.check_interval, Duration::from_secs(1));
    let DefaultLimit::Limited(limit) = config.settings.default_limit else { panic!("unlimited") };
    assert_eq!((limit.capacity(), limit.rate_per_sec()), (5.0, 0.1));
    let check = &config.backends[0].health_check;
    assert_eq!((check.method.as_str(), check.path.as_str(), check.timeout_ms), ("HEAD", "/", 1000));
}

#[test]
fn an_empty_file_means_the_defaults() {
    for yaml in ["", "# nothing\n", "{}", "admin:\ndatabase:\n"] {
        let config = load(yaml, Args::default()).unwrap();
        assert_eq!(config.admin.address(), ("127.0.0.1", 9090));
        assert_eq!(config.database.to_string(), "sqlite://balancer.db");
        assert_eq!(config.settings.client.header.as_deref(), Some("X-API-Key"));
        assert!(config.backends.is_empty() && config.admin.token.is_none());
        assert_eq!(config.settings.limit_scope, LimitScope::Global);
    }
}

#[test]
fn the_commented_file_of_the_project_loads() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/config.yaml");
    let config = config::load(&Args { config: Some(file.into()), ..Args::default() }).unwrap();
    assert_eq!(config.backends.len(), 3);
}

#[test]
fn flags_and_variables_beat_the_file() {
    let args = Args {
        admin_port: Some("1234".into()),
        admin_host: Some(String::new()),
        strategy: Some("random".into()),
        limits_scope: Some("local".into()),
        default_limits_capacity: Some("7".into()),
        backend_list: Some("http://a:1, http://b:2".into()),
        client_trusted_proxies: Some("10.0.0.0/8,::1".into()),
        ..Args::default()
    };
    let yaml =
        "admin: { host: localhost, port: 1 }\ndefault_limits: unlimited\nbackend_list: [{ backend_url: http://c:3 }]";
    let config = load(yaml, args).unwrap();
    assert_eq!(config.admin.address(), ("localhost", 1234), "an empty variable counts as not set");
    assert_eq!(config.settings.strategy, Strategy::Random);
    assert_eq!(config.settings.limit_scope, LimitScope::Local);
    let DefaultLimit::Limited(limit) = config.settings.default_limit else { panic!("unlimited") };
    assert_eq!((limit.capacity(), limit.rate_per_sec()), (7.0, 0.1));
    let urls: Vec<_> = config.backends.iter().map(|b| b.url.as_str()).collect();
    assert_eq!(urls, ["http://a:1", "http://b:2"]);
    assert_eq!(config.settings.client.trusted_proxies.len(), 2);
}

#[test]
fn legacy_variables_make_a_database_url() {
    let pg = PgArgs {
        pg_host: Some("db".into()),
        pg_database_name: Some("limits".into()),
        pg_user: Some("me".into()),
        pg_password: Some(Secret("p@ss/w:rd%".into())),
        pg_sslmode: Some("require".into()),
        ..PgArgs::default()
    };
    let args = Args { pg, ..Args::default() };
    let config = load("database: { url: 'sqlite://x.db' }", args.clone()).unwrap();
    assert_eq!(config.database.to_string(), "postgres://db:5432/limits");
    let url = Some(Secret("sqlite://y.db".into()));
    let config = load("", Args { database_url: url, ..args }).unwrap();
    assert_eq!(config.database.to_string(), "sqlite://y.db");
}

#[test]
fn bad_flags_name_themselves() {
    let args = Args { admin_port: Some("99999".into()), ..Args::default() };
    let said = load("", args).unwrap_err();
    let expected =
        "--admin-port (or BALANCER_ADMIN_PORT): admin.port: expected a whole number from 0 to 65535, got \"99999\"";
    assert_eq!(said, expected);
}

#[test]
fn errors_name_file_line_key_value_and_what_was_expected() {
    for (yaml, said) in [
        ("stategy: p2c", "config.yaml:1: stategy: unknown key; did you mean strategy?"),
        ("admin:\n  host: localhost\n  tokn: x", "config.yaml:3: admin.tokn: unknown key; did you mean token?"),
        (
            "admin: { zzzzzz: 1 }",
            "config.yaml:1: admin.zzzzzz: unknown key; expected one of host, port, token, allow_remote_without_token, max_connections, tls, advertise",
        ),
        ("limits: { scope: all }", "config.yaml:1: limits.scope: expected one of global, local, got \"all\""),
        ("limits: { scop: local }", "config.yaml:1: limits.scop: unknown key; did you mean scope?"),
        (
            "admin: { advertise: 'http://me:secret@a:1' }",
            "config.yaml:1: admin.advertise: expected http://host:port or https://host:port, without a user or a path",
        ),
        ("server: 7", "config.yaml:1: server: expected a mapping, got 7"),
        ("server: { port: 8080.5 }", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got 8080.5"),
        ("server: { port: '80' }", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got \"80\""),
        ("ticker_rate_sec: 0", "config.yaml:1: ticker_rate_sec: expected a number from 0.01 to 86400 seconds, got 0"),
        (
            "\n\ndefault_limits: { capacity: 0 }",
            "config.yaml:3: default_limits.capacity: expected a finite number of at least 1, got 0",
        ),
        (
            "default_limits: { rate_per_sec: -1 }",
            "config.yaml:1: default_limits.rate_per_sec: expected a finite number of at least 0, got -1",
        ),
        (
            "default_limits: none",
            "config.yaml:1: default_limits: expected a mapping of capacity and rate_per_sec, or the word unlimited",
        ),
        (
            "strategy: best",
            "config.yaml:1: strategy: expected one of round_robin, least_connections, p2c, random, consistent_hash, got \"best\"",
        ),
        ("backend_list: {}", "config.yaml:1: backend_list: expected a list, got a mapping"),
        (
            "backend_list:\n  - weight: 1",
            "config.yaml:2: backend_list[0]: expected a backend_url such as http://127.0.0.1:8081, got none",
        ),
        (
            "backend_list:\n  - backend_url: http://a:1\n    weight: 0",
            "config.yaml:3: backend_list[0].weight: expected a whole number from 1 to 1000, got 0",
        ),
        (
            "backend_list:\n  - backend_url: http://a:1\n  - backend_url: http://A:1/",
            "config.yaml:3: backend_list[1]: expected each backend once, but http://a:1 is also backend_list[0]",
        ),
        (
            "backend_list: [{ backend_url: 'ftp://a' }]",
            "config.yaml:1: backend_list[0].backend_url: expected http://host:port, https://host:port or h2c://host:port, got \"ftp://a\": the scheme is none of these",
        ),
        (
            "backend_list: [{ backend_url: '127.0.0.1:8081' }]",
            "config.yaml:1: backend_list[0].backend_url: expected http://host:port, https://host:port or h2c://host:port, got \"127.0.0.1:8081\": it has no scheme",
        ),
        (
            "backend_tls: { ca_file: /nowhere/ca.pem }",
            "config.yaml:1: backend_tls.ca_file: expected a PEM file with certificates of authorities, got /nowhere/ca.pem: No such file or directory (os error 2)",
        ),
        (
            "backend_tls: { ca_file: /dev/null }",
            "config.yaml:1: backend_tls.ca_file: expected a PEM file with certificates of authorities, got /dev/null: it holds no certificate",
        ),
        ("backend_tls: { verify: false }", "config.yaml:1: backend_tls.verify: unknown key; expected one of ca_file"),
        (
            "backend_list: [{ backend_url: 'http://a', config: { health: { url: up } } }]",
            "config.yaml:1: backend_list[0].config.health.url: expected a path that starts with /, got \"up\"",
        ),
        (
            "backend_list: [{ backend_url: 'http://a', config: { health: { expected_status: 99-600 } } }]",
            "config.yaml:1: backend_list[0].config.health.expected_status: expected a range of status codes such as 200-399, got \"99-600\"",
        ),
        (
            "client: { ipv6_prefix: 0 }",
            "config.yaml:1: client.ipv6_prefix: expected a whole number from 1 to 128, got 0",
        ),
        (
            "client: { header: 'a b' }",
            "config.yaml:1: client.header: expected the name of a request header, got \"a b\"",
        ),
        (
            "client: { trusted_proxies: [10.0.0.0/33] }",
            "config.yaml:1: client.trusted_proxies[0]: expected an address or a CIDR block such as 10.0.0.0/8, got \"10.0.0.0/33\"",
        ),
        (
            "admin: { allow_remote_without_token: maybe }",
            "config.yaml:1: admin.allow_remote_without_token: expected true or false, got \"maybe\"",
        ),
        (
            "database: { url: 'mysql://x' }",
            "config.yaml:1: database.url: expected sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "database: { url: 'postgres://h/b', sslmode: on }",
            "config.yaml:1: database.sslmode: expected text (put it in quotes), got true",
        ),
        ("- a", "config.yaml:1: expected a mapping, got a list"),
    ] {
        assert_eq!(error(yaml), said, "{yaml:?}");
    }
}

#[test]
fn secrets_stay_out_of_errors() {
    assert!(!error("admin: { token: 123456 }").contains("123456"));
    assert!(!error("admin: { token: 'hush hush' }").contains("hush"));
    assert!(!error("database: { url: 'postgres://me:hush@' }").contains("hush"));
}

#[test]
fn yaml_that_is_none_names_the_line() {
    let said = error("server:\n  port: [1\n");
    assert!(said.starts_with("config.yaml:") && said.contains("expected valid YAML: "), "{said}");
    assert!(
        error("strategy: p2c\nstrategy: random").contains("expected each key once, but strategy is given here again")
    );
}

#[test]
fn a_file_that_is_named_must_exist() {
    let said = config::load(&Args { config: Some("/nowhere/config.yaml".into()), ..Args::default() }).unwrap_err();
    assert!(said.to_string().starts_with("/nowhere/config.yaml: cannot be read: No such file"), "{said}");
}

#[test]
fn a_port_that_others_reach_needs_a_token_or_a_word() {
    let said = error("admin: { host: 0.0.0.0 }");
    assert!(said.starts_with("config.yaml:1: admin.host: expected a loopback address, or admin.token"), "{said}");
    for fine in [
        "admin: { host: 0.0.0.0, token: s3cret }",
        "admin: { host: 0.0.0.0, allow_remote_without_token: true }",
        "admin: { host: 127.0.0.9 }",
        "admin: { host: '::1' }",
        "admin: { host: localhost }",
    ] {
        load(fine, Args::default()).unwrap();
    }
}

#[test]
fn what_a_stronger_url_says_of_tls_beats_the_file() {
    let yaml = "database: { url: 'postgres://old/b', sslmode: disable }";
    let with = |url: &str| {
        let args = Args { database_url: Some(Secret(url.into())), ..Args::default() };
        format!("{:?}", load(yaml, args).unwrap().database)
    };
    assert!(with("postgres://new/b?sslmode=verify-full").contains("VerifyFull"));
    assert!(with("postgres://new/b").contains("Disable"), "the file's key holds where the URL says nothing");
    let args = Args {
        database_url: Some(Secret("postgres://new/b?sslmode=require".into())),
        pg: PgArgs { pg_host: Some("old".into()), pg_sslmode: Some("disable".into()), ..PgArgs::default() },
        ..Args::default()
    };
    assert!(format!("{:?}", load("", args).unwrap().database).contains("Require"));
}

#[test]
fn others_are_told_where_the_admin_port_is() {
    for (yaml, told) in [
        ("", Some("http://127.0.0.1:7")),
        ("admin: { host: '::1' }", Some("http://[::1]:7")),
        ("admin: { host: cp-1, token: t }", Some("http://cp-1:7")),
        ("admin: { host: 0.0.0.0, token: t }", None),
        ("admin: { host: '::', token: t, advertise: 'https://cp-1:9443/' }", Some("https://cp-1:9443")),
        ("admin: { advertise: '' }", Some("http://127.0.0.1:7")),
    ] {
        assert_eq!(load(yaml, Args::default()).unwrap().admin.advertised(7).as_deref(), told, "{yaml}");
    }
}
