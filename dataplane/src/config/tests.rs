use clap::Parser;

use super::*;
use std::path::PathBuf;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn config(flags: &[&str]) -> Result<Config, ConfigError> {
    let line = ["dataplane"].iter().chain(flags);
    Config::try_from(Cli::try_parse_from(line).unwrap().args)
}

#[test]
fn defaults_are_valid_and_local() {
    let config = config(&[]).unwrap();
    assert_eq!(config.control_planes, [Uri::from_static("http://127.0.0.1:9090")]);
    assert!(config.listen.ip().is_loopback() && config.admin_listen.ip().is_loopback());
    assert_eq!(config.state_dir, Some(PathBuf::from(".balancer/dataplane-8080")));
    assert!(config.token.is_none() && config.admin_token.is_none() && !config.serve.proxy.access_log);
}

#[test]
fn flags_and_code_agree_on_the_rules_for_backends() {
    let proxy = config(&[]).unwrap().serve.proxy;
    assert_eq!(proxy.pool, crate::pool::PoolRules::default());
    assert_eq!(proxy.queue_timeout, crate::server::ProxyOptions::default().queue_timeout);
    let flags = ["--slow-start-ms=1500", "--max-in-flight=7", "--outlier-5xx=always", "--queue-timeout-ms=0"];
    let proxy = config(&flags).unwrap().serve.proxy;
    assert_eq!((proxy.pool.slow_start_ns, proxy.pool.max_in_flight), (1_500_000_000, 7));
    assert!(proxy.pool.outlier.server_errors == crate::pool::ServerErrors::Always && proxy.queue_timeout.is_zero());
}

#[test]
fn control_planes_repeat_or_are_separated_by_commas() {
    let config = config(&["--control-plane", "http://a:1,http://b:2", "--control-plane", "http://[::1]:3"]).unwrap();
    let hosts: Vec<_> = config.control_planes.iter().filter_map(Uri::host).collect();
    assert_eq!(hosts, ["a", "b", "[::1]"]);
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let error = config(&["--control-plane", "http://me:hush@a:1"]).unwrap_err().to_string();
    assert!(error.contains("http://host:port") && error.contains("a password") && !error.contains("hush"), "{error}");
}

#[test]
fn a_bad_value_names_its_key_itself_and_what_was_expected() {
    for (flag, value, expected) in [
        ("listen", "8080", "ip:port"),
        ("admin-listen", "localhost", "ip:port"),
        ("control-plane", "ftp://a:1", "http://host:port"),
        ("control-plane-ca", "/nowhere/ca.pem", "https://"),
        ("control-plane-cert", "/nowhere/cert.pem", "--control-plane-key"),
        ("control-plane-key", "/nowhere/key.pem", "--control-plane-cert"),
        ("control-plane", "http://a:1/path", "http://host:port"),
        ("control-plane", "a:1", "http://host:port"),
        ("control-plane", "", "at least one"),
        ("threads", "0", "from 1 to 1024"),
        ("threads", "many", "from 1 to 1024"),
        ("max-clients", "-1", "a whole number"),
        ("grace-secs", "1.5", "a whole number"),
        ("response-timeout-ms", "0", "from 1 to"),
        ("access-log", "yes", "on or off"),
        ("max-connections", "-1", "a whole number from 0"),
        ("max-connections-per-client", "x", "a whole number from 0"),
        ("proxy-protocol", "v2", "on or off"),
        ("proxy-protocol-from", "10.0.0.0/33", "an address or a network"),
        ("outlier-consecutive-failures", "-1", "a whole number from 0"),
        ("outlier-5xx", "on", "off or rate or always"),
        ("outlier-min-success-percent", "101", "from 0 to 100"),
        ("outlier-window-secs", "0", "from 1 to 300"),
        ("outlier-min-requests", "0", "from 1"),
        ("outlier-ejection-ms", "0", "from 1 to"),
        ("outlier-max-ejected-percent", "half", "from 0 to 100"),
        ("outlier-panic-percent", "101", "from 0 to 100"),
        ("slow-start-ms", "1s", "a whole number from 0"),
        ("max-in-flight", "-1", "a whole number from 0"),
        ("queue-timeout-ms", "never", "a whole number from 0"),
        ("log-format", "xml", "text or json"),
        ("log-level", "inof", "error, warn"),
    ] {
        let error = config(&[&format!("--{flag}={value}")]).unwrap_err();
        assert!(error.key.starts_with(&format!("--{flag} (BALANCER_")), "{error}");
        assert!(error.expected.contains(expected), "{error}");
        assert_eq!(error.value, value);
    }
}

#[test]
fn a_remote_admin_needs_a_token_or_to_be_told() {
    let remote = "--admin-listen=0.0.0.0:9091";
    assert!(config(&[remote]).unwrap_err().expected.contains("--admin-token"));
    assert!(config(&[remote, "--admin-token=s"]).is_ok());
    assert!(config(&[remote, "--admin-allow-remote-without-token"]).is_ok());
}

#[test]
fn a_token_is_never_shown() {
    let error = config(&["--token=my secret"]).unwrap_err();
    assert!(!error.to_string().contains("my"), "{error}");
    let config = config(&["--token=hush", "--admin-token=hush"]).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn balancers_in_front_are_named_or_local() {
    assert!(config(&[]).unwrap().serve.announcers.is_none());
    assert!(config(&["--proxy-protocol=on"]).unwrap().serve.announcers.is_some());
    assert!(config(&["--proxy-protocol=on", "--proxy-protocol-from=10.0.0.0/8, fd00::1"]).is_ok());
    assert!(config(&["--proxy-protocol=on", "--proxy-protocol-from="]).unwrap_err().expected.contains("in front"));
}
