//! Flags and environment variables.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// Flags that every program with a control plane in it takes. Each is also an environment variable; a variable that
/// is set but empty counts as not set. Values stay text here: they are read by the same code that reads the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Configuration file; without this flag config/config.yaml, if there is one
    #[arg(long, env = "BALANCER_CONFIG", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub config: Option<PathBuf>,
    /// Address of the proxy (all-in-one only)
    #[arg(long, env = "BALANCER_SERVER_HOST", value_name = "HOST")]
    pub server_host: Option<String>,
    /// Port of the proxy (all-in-one only)
    #[arg(long, env = "BALANCER_SERVER_PORT", value_name = "PORT")]
    pub server_port: Option<String>,
    /// Address of the admin port: gRPC, REST, metrics, health
    #[arg(long, env = "BALANCER_ADMIN_HOST", value_name = "HOST")]
    pub admin_host: Option<String>,
    /// Port of the admin port; 0: any free one
    #[arg(long, env = "BALANCER_ADMIN_PORT", value_name = "PORT")]
    pub admin_port: Option<String>,
    /// Token that callers of the admin port must send; prefer the variable, flags are visible to other users
    #[arg(long, env = "BALANCER_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,
    /// Start with an admin port that other hosts reach although there is no token
    #[arg(
        long,
        env = "BALANCER_ADMIN_ALLOW_REMOTE_WITHOUT_TOKEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub admin_allow_remote_without_token: Option<String>,
    /// Connections that the admin port may have at once, 2 to 1000000; one address may have half of them
    #[arg(long, env = "BALANCER_ADMIN_MAX_CONNECTIONS", value_name = "N")]
    pub admin_max_connections: Option<String>,
    /// Where others reach the admin port: http://HOST:PORT or https://HOST:PORT
    #[arg(long, env = "BALANCER_ADMIN_ADVERTISE", value_name = "URL")]
    pub admin_advertise: Option<String>,
    /// Speak TLS on the admin port with this certificate (PEM, with its chain)
    #[arg(long, env = "BALANCER_ADMIN_TLS_CERT", value_name = "FILE")]
    pub admin_tls_cert: Option<String>,
    /// Private key (PEM) of --admin-tls-cert
    #[arg(long, env = "BALANCER_ADMIN_TLS_KEY", value_name = "FILE")]
    pub admin_tls_key: Option<String>,
    /// Authorities (PEM) of which every caller of the admin port must have a certificate
    #[arg(long, env = "BALANCER_ADMIN_TLS_CLIENT_CA", value_name = "FILE")]
    pub admin_tls_client_ca: Option<String>,
    /// Database: sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME
    #[arg(long, env = "BALANCER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Secret>,
    /// TLS to PostgreSQL: disable, prefer, require, verify-ca or verify-full
    #[arg(long, env = "BALANCER_DATABASE_SSLMODE", value_name = "MODE")]
    pub database_sslmode: Option<String>,
    /// File of CA certificates (PEM) for verify-ca and verify-full
    #[arg(long, env = "BALANCER_DATABASE_SSLROOTCERT", value_name = "FILE")]
    pub database_sslrootcert: Option<String>,
    /// How a backend is chosen: round_robin, least_connections, p2c, random or consistent_hash
    #[arg(long, env = "BALANCER_STRATEGY", value_name = "NAME")]
    pub strategy: Option<String>,
    /// Seconds between health checks of a backend that does not say its own
    #[arg(long, env = "BALANCER_TICKER_RATE_SEC", value_name = "SECONDS")]
    pub ticker_rate_sec: Option<String>,
    /// `unlimited`: clients without a limit of their own have none
    #[arg(long, env = "BALANCER_DEFAULT_LIMITS", value_name = "unlimited")]
    pub default_limits: Option<String>,
    /// Requests in a burst of a client without a limit of its own
    #[arg(long, env = "BALANCER_DEFAULT_LIMITS_CAPACITY", value_name = "REQUESTS")]
    pub default_limits_capacity: Option<String>,
    /// Requests per second of a client without a limit of its own
    #[arg(long, env = "BALANCER_DEFAULT_LIMITS_RATE_PER_SEC", value_name = "RATE")]
    pub default_limits_rate_per_sec: Option<String>,
    /// Whether a limit holds for all data planes together: global or local
    #[arg(long, env = "BALANCER_LIMITS_SCOPE", value_name = "SCOPE")]
    pub limits_scope: Option<String>,
    /// Backends, http://, https:// or h2c://HOST:PORT separated by commas, in place of the file's list
    #[arg(long, env = "BALANCER_BACKEND_LIST", value_name = "URLS")]
    pub backend_list: Option<String>,
    /// Authorities (PEM) that backends with https:// must be certified by; empty: the public ones
    #[arg(long, env = "BALANCER_BACKEND_TLS_CA_FILE", value_name = "FILE")]
    pub backend_tls_ca_file: Option<String>,
    /// Request header that names a client; empty: none
    #[arg(long, env = "BALANCER_CLIENT_HEADER", value_name = "NAME")]
    pub client_header: Option<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses or CIDR blocks separated by commas
    #[arg(long, env = "BALANCER_CLIENT_TRUSTED_PROXIES", value_name = "CIDRS")]
    pub client_trusted_proxies: Option<String>,
    /// Prefix length by which IPv6 clients share a bucket, 1 to 128
    #[arg(long, env = "BALANCER_CLIENT_IPV6_PREFIX", value_name = "BITS")]
    pub client_ipv6_prefix: Option<String>,
    /// PostgreSQL as the legacy service was told of it; the database URL's flag and variable beat it. Variables only: as
    /// flags they would stand above the variable of the URL.
    #[arg(skip = PgArgs::from_environment())]
    pub pg: PgArgs,
}

/// The `PG_*` variables of the legacy service. Together they are a database URL.
#[derive(Clone, Debug, Default)]
pub struct PgArgs {
    /// Host, or directory of the Unix socket.
    pub pg_host: Option<String>,
    /// Port; 5432 unless given.
    pub pg_port: Option<String>,
    /// Database.
    pub pg_database_name: Option<String>,
    /// User.
    pub pg_user: Option<String>,
    /// Password.
    pub pg_password: Option<Secret>,
    /// As --database-sslmode.
    pub pg_sslmode: Option<String>,
}

impl PgArgs {
    fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            pg_host: variable("PG_HOST"),
            pg_port: variable("PG_PORT"),
            pg_database_name: variable("PG_DATABASE_NAME"),
            pg_user: variable("PG_USER"),
            pg_password: variable("PG_PASSWORD").map(Secret),
            pg_sslmode: variable("PG_SSLMODE"),
        }
    }
}

/// Text that must not reach a log.
#[derive(Clone, Default)]
pub struct Secret(pub String);

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
