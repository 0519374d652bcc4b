//! What a running control plane cannot change.

use crate::config::Config;

/// Keys in which `next` differs from what was started with, and that take effect only after a restart.
pub(super) fn keys(started: &Config, next: &Config) -> Vec<&'static str> {
    let (was, is) = (&started.admin, &next.admin);
    let token = |config: &Config| config.admin.token.as_ref().map(|token| token.reveal().to_owned());
    let changed = [
        ("server.host", started.server.host != next.server.host),
        ("server.port", started.server.port != next.server.port),
        ("admin.host", was.host != is.host),
        ("admin.port", was.port != is.port),
        ("admin.token", token(started) != token(next)),
        ("admin.advertise", was.advertise != is.advertise),
        ("admin.max_connections", was.max_connections != is.max_connections),
        // Other files are taken at once; whether there is TLS is not.
        ("admin.tls", was.tls.is_some() != is.tls.is_some()),
        ("database", started.database != next.database),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Args};

    fn config(yaml: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        std::fs::write(&file, yaml).unwrap();
        config::load(&Args { config: Some(file), ..Args::default() }).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let started = config("");
        for (yaml, named) in [
            ("strategy: p2c\nticker_rate_sec: 7", &[][..]),
            ("server: { host: ::1, port: 1 }", &["server.host", "server.port"]),
            ("admin: { host: ::1, port: 1, token: a }", &["admin.host", "admin.port", "admin.token"]),
            ("admin: { advertise: 'http://a:1' }", &["admin.advertise"]),
            ("admin: { max_connections: 7 }", &["admin.max_connections"]),
            ("database: { url: 'sqlite://other.db' }", &["database"]),
        ] {
            assert_eq!(keys(&started, &config(yaml)), named, "{yaml}");
        }
    }
}
