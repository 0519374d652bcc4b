//! Lays flags and environment variables over the file.

use super::{
    Args,
    args::{PgArgs, Secret},
    tree::{Node, Origin, Value},
};

/// Sets every key that `args` give.
pub(super) fn apply(args: &Args, root: &mut Node) {
    let set = &mut |path: &[&str], flag, variable, value: Option<&str>| {
        // A file that is not a mapping is reported when it is read; laying flags over it would hide that.
        if let (Some(text), Value::Map(_) | Value::Null) = (value, &root.value) {
            put(root, path, Node { origin: Origin::Flag { flag, variable }, value: Value::Text(text.to_owned()) });
        }
    };
    // A URL says all of it itself; half of it from elsewhere would be another database.
    if secret(&args.database_url).is_none() {
        pg(&args.pg, set);
    }
    let (host, port) = (given(&args.server_host), given(&args.server_port));
    set(&["server", "host"], "server-host", "BALANCER_SERVER_HOST", host);
    set(&["server", "port"], "server-port", "BALANCER_SERVER_PORT", port);
    admin(args, set);
    let (url, mode) = (secret(&args.database_url), given(&args.database_sslmode));
    set(&["database", "url"], "database-url", "BALANCER_DATABASE_URL", url);
    set(&["database", "sslmode"], "database-sslmode", "BALANCER_DATABASE_SSLMODE", mode);
    let root_certificate = given(&args.database_sslrootcert);
    set(&["database", "sslrootcert"], "database-sslrootcert", "BALANCER_DATABASE_SSLROOTCERT", root_certificate);
    limits(args, set);
    set(&["strategy"], "strategy", "BALANCER_STRATEGY", given(&args.strategy));
    set(&["ticker_rate_sec"], "ticker-rate-sec", "BALANCER_TICKER_RATE_SEC", given(&args.ticker_rate_sec));
    set(&["backend_list"], "backend-list", "BALANCER_BACKEND_LIST", given(&args.backend_list));
    let authorities = given(&args.backend_tls_ca_file);
    set(&["backend_tls", "ca_file"], "backend-tls-ca-file", "BALANCER_BACKEND_TLS_CA_FILE", authorities);
    client(args, set);
}

type Set<'a> = &'a mut dyn FnMut(&[&str], &'static str, &'static str, Option<&str>);

fn admin(args: &Args, set: Set<'_>) {
    set(&["admin", "host"], "admin-host", "BALANCER_ADMIN_HOST", given(&args.admin_host));
    set(&["admin", "port"], "admin-port", "BALANCER_ADMIN_PORT", given(&args.admin_port));
    set(&["admin", "token"], "admin-token", "BALANCER_ADMIN_TOKEN", secret(&args.admin_token));
    let (flag, variable) = ("admin-allow-remote-without-token", "BALANCER_ADMIN_ALLOW_REMOTE_WITHOUT_TOKEN");
    set(&["admin", "allow_remote_without_token"], flag, variable, given(&args.admin_allow_remote_without_token));
    let (flag, variable) = ("admin-max-connections", "BALANCER_ADMIN_MAX_CONNECTIONS");
    set(&["admin", "max_connections"], flag, variable, given(&args.admin_max_connections));
    set(&["admin", "advertise"], "admin-advertise", "BALANCER_ADMIN_ADVERTISE", given(&args.admin_advertise));
    let (cert, key) = (given(&args.admin_tls_cert), given(&args.admin_tls_key));
    set(&["admin", "tls", "cert"], "admin-tls-cert", "BALANCER_ADMIN_TLS_CERT", cert);
    set(&["admin", "tls", "key"], "admin-tls-key", "BALANCER_ADMIN_TLS_KEY", key);
    let (flag, variable) = ("admin-tls-client-ca", "BALANCER_ADMIN_TLS_CLIENT_CA");
    set(&["admin", "tls", "client_ca"], flag, variable, given(&args.admin_tls_client_ca));
}

fn limits(args: &Args, set: Set<'_>) {
    let (capacity, rate) = (given(&args.default_limits_capacity), given(&args.default_limits_rate_per_sec));
    set(&["default_limits"], "default-limits", "BALANCER_DEFAULT_LIMITS", given(&args.default_limits));
    let (flag, variable) = ("default-limits-capacity", "BALANCER_DEFAULT_LIMITS_CAPACITY");
    set(&["default_limits", "capacity"], flag, variable, capacity);
    let (flag, variable) = ("default-limits-rate-per-sec", "BALANCER_DEFAULT_LIMITS_RATE_PER_SEC");
    set(&["default_limits", "rate_per_sec"], flag, variable, rate);
    set(&["limits", "scope"], "limits-scope", "BALANCER_LIMITS_SCOPE", given(&args.limits_scope));
}

fn client(args: &Args, set: Set<'_>) {
    let (proxies, prefix) = (given(&args.client_trusted_proxies), given(&args.client_ipv6_prefix));
    set(&["client", "header"], "client-header", "BALANCER_CLIENT_HEADER", given(&args.client_header));
    let (flag, variable) = ("client-trusted-proxies", "BALANCER_CLIENT_TRUSTED_PROXIES");
    set(&["client", "trusted_proxies"], flag, variable, proxies);
    set(&["client", "ipv6_prefix"], "client-ipv6-prefix", "BALANCER_CLIENT_IPV6_PREFIX", prefix);
}

fn pg(args: &PgArgs, set: Set<'_>) {
    if let Some(url) = pg_url(args) {
        set(&["database", "url"], "", "PG_HOST", Some(&url));
        set(&["database", "sslmode"], "", "PG_SSLMODE", given(&args.pg_sslmode));
    }
}

/// `PG_HOST` or `PG_DATABASE_NAME` alone is enough to mean PostgreSQL; the rest has libpq's defaults.
fn pg_url(args: &PgArgs) -> Option<String> {
    if given(&args.pg_host).is_none() && given(&args.pg_database_name).is_none() {
        return None;
    }
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let user = given(&args.pg_user).unwrap_or("postgres");
    let password = secret(&args.pg_password).map(|p| format!(":{}", encode(p))).unwrap_or_default();
    let host = pg_host(given(&args.pg_host).unwrap_or("localhost"), encode);
    let port = given(&args.pg_port).unwrap_or("5432");
    let name = encode(given(&args.pg_database_name).unwrap_or(user));
    Some(format!("postgres://{}{password}@{host}:{port}/{name}", encode(user)))
}

fn pg_host(host: &str, encode: impl Fn(&str) -> String) -> String {
    if host.contains(':') { format!("[{host}]") } else { encode(host) }
}

fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

fn secret(value: &Option<Secret>) -> Option<&str> {
    value.as_ref().map(|s| s.0.as_str()).filter(|text| !text.is_empty())
}

fn put(node: &mut Node, path: &[&str], leaf: Node) {
    let Some((key, rest)) = path.split_first() else {
        *node = leaf;
        return;
    };
    if !matches!(node.value, Value::Map(_)) {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else { return };
    let at = entries.iter().position(|(name, _)| name == key).unwrap_or(entries.len());
    if at == entries.len() {
        entries.push(((*key).to_owned(), Node { origin: leaf.origin.clone(), value: Value::Null }));
    }
    put(&mut entries[at].1, rest, leaf);
}
