//! Which database: `sqlite://…` or `postgres://…`, and how the connection is protected.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::Invalid;

/// How long connecting to PostgreSQL may take, per address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Which database the store lives in. Its `Display` and `Debug` never show a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseConfig {
    /// A file of the embedded database.
    Sqlite {
        /// The file; made if it does not exist.
        path: PathBuf,
    },
    /// A PostgreSQL server, version 13 or newer.
    Postgres(Box<PostgresConfig>),
}

/// How to reach a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    pub(super) connection: tokio_postgres::Config,
    pub(super) tls_mode: TlsMode,
    pub(super) root_cert: Option<PathBuf>,
}

/// What libpq calls `sslmode`, with its meanings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, without verification.
    #[default]
    Prefer,
    /// TLS; the certificate is verified only if `sslrootcert` is given (then as `verify-ca`).
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// TLS with a certificate of a trusted authority for the host's name.
    VerifyFull,
}

impl TlsMode {
    fn parse(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                let expected = format!("expected disable, prefer, require, verify-ca or verify-full, got {text:?}");
                return Err(Invalid { field: "database.sslmode", expected });
            }
        })
    }
}

impl DatabaseConfig {
    /// Reads `sqlite://relative.db`, `sqlite:///absolute.db`, or `postgres://user:password@host:port/database`
    /// with the query parameters of libpq (`sslmode` and `sslrootcert` among them).
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        match url.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite { path: path.into() }),
            Some(("sqlite", _)) => Err(bad_url("expected a file after sqlite://, e.g. sqlite://balancer.db".into())),
            Some(("postgres" | "postgresql", _)) => parse_postgres(url),
            // The URL is not repeated: it may hold a password.
            _ => Err(bad_url("expected sqlite://FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE".into())),
        }
    }

    /// Whether the files are there that opening the database needs: the directory of a SQLite file, certificates.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Sqlite { path } => super::sqlite::check(path),
            Self::Postgres(postgres) => super::postgres::check(postgres),
        }
    }

    /// Overrides the URL's `sslmode` and `sslrootcert` (a PEM file); `None` leaves what the URL said.
    pub fn with_tls(mut self, sslmode: Option<&str>, sslrootcert: Option<&Path>) -> Result<Self, Invalid> {
        let mode = sslmode.map(TlsMode::parse).transpose()?;
        if let Self::Postgres(postgres) = &mut self {
            postgres.tls_mode = mode.unwrap_or(postgres.tls_mode);
            postgres.root_cert = sslrootcert.map(PathBuf::from).or(postgres.root_cert.take());
        }
        Ok(self)
    }
}

impl fmt::Display for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(postgres) => {
                let ports = postgres.connection.get_ports();
                // One port stands for all hosts, as in libpq.
                let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                let hosts = postgres.connection.get_hosts().iter().enumerate().map(|(index, host)| match host {
                    tokio_postgres::config::Host::Tcp(name) => format!("{name}:{}", port(index)),
                    tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
                });
                let hosts = hosts.collect::<Vec<_>>().join(",");
                write!(f, "postgres://{hosts}/{}", postgres.connection.get_dbname().unwrap_or_default())
            }
        }
    }
}

fn bad_url(expected: String) -> Invalid {
    Invalid { field: "database.url", expected }
}

/// Takes out `sslmode` and `sslrootcert`, half of which tokio-postgres does not know, and leaves it the rest.
fn parse_postgres(url: &str) -> Result<DatabaseConfig, Invalid> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    check_user_info(base)?;
    let (mut tls_mode, mut root_cert, mut rest) = (TlsMode::default(), None, Vec::new());
    for (pair, (key, value)) in query.split('&').zip(url::form_urlencoded::parse(query.as_bytes())) {
        match &*key {
            "sslmode" => tls_mode = TlsMode::parse(&value)?,
            "sslrootcert" => root_cert = Some(PathBuf::from(&*value)),
            _ => rest.push(pair),
        }
    }
    let rest = if rest.is_empty() { base.into() } else { format!("{base}?{}", rest.join("&")) };
    let mut connection: tokio_postgres::Config = rest.parse().map_err(|e| bad_url(describe(&e)))?;
    if connection.get_hosts().is_empty() {
        return Err(bad_url("expected a host in postgres://USER:PASSWORD@HOST:PORT/DATABASE".into()));
    }
    connection.application_name("balancer").connect_timeout(CONNECT_TIMEOUT);
    connection.keepalives_idle(Duration::from_secs(10)).tcp_user_timeout(Duration::from_secs(10));
    Ok(DatabaseConfig::Postgres(Box::new(PostgresConfig { connection, tls_mode, root_cert })))
}

/// A raw `@` or `/` in a password would make the rest of it a host, which is looked up and logged.
fn check_user_info(base: &str) -> Result<(), Invalid> {
    let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = after_scheme.split('/').next().unwrap_or_default();
    let (in_all, in_authority) = (after_scheme.matches('@').count(), authority.matches('@').count());
    if in_all > 1 || in_all != in_authority {
        let expected = "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE; in a user name or password write @ as %40, / as %2F and % as %25";
        return Err(bad_url(expected.into()));
    }
    Ok(())
}

/// An error with what caused it: tokio-postgres keeps the telling half in the source.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(url: &str) -> PostgresConfig {
        match DatabaseConfig::parse(url).unwrap() {
            DatabaseConfig::Postgres(postgres) => *postgres,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sqlite_urls() {
        let path = |url| match DatabaseConfig::parse(url).unwrap() {
            DatabaseConfig::Sqlite { path } => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(path("sqlite://balancer.db"), Path::new("balancer.db"));
        assert_eq!(path("sqlite:///var/lib/b.db"), Path::new("/var/lib/b.db"));
    }

    #[test]
    fn postgres_urls() {
        let config =
            postgres("postgres://me:secret@db:6432/b?sslmode=verify-full&sslrootcert=%2Fca.pem&connect_timeout=1");
        assert_eq!((config.tls_mode, config.root_cert.as_deref()), (TlsMode::VerifyFull, Some(Path::new("/ca.pem"))));
        assert_eq!((config.connection.get_user(), config.connection.get_ports()), (Some("me"), &[6432][..]));
        assert_eq!(postgres("postgresql://db/b").tls_mode, TlsMode::Prefer);
    }

    #[test]
    fn a_password_is_never_shown() {
        let config = DatabaseConfig::parse("postgres://me:secret@db/b").unwrap();
        assert_eq!(config.to_string(), "postgres://db:5432/b");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_password_that_would_become_a_host_is_refused() {
        for raw in ["postgres://me:se@cret@db/b", "postgres://me:se/cret@db/b", "postgres://me:a@b/c@db/b"] {
            let error = DatabaseConfig::parse(raw).unwrap_err();
            assert!(error.expected.contains("%40") && !error.expected.contains("cret"), "{error}");
        }
        let config = postgres("postgres://me:se%40cr%2Fet@db/b").connection;
        assert_eq!(config.get_password(), Some(&b"se@cr/et"[..]));
    }

    #[test]
    fn bad_urls_name_the_field() {
        for bad in ["", "balancer.db", "mysql://x", "sqlite://", "postgres://", "postgres://h/b?what=1"] {
            assert_eq!(DatabaseConfig::parse(bad).unwrap_err().field, "database.url", "{bad:?}");
        }
        assert_eq!(DatabaseConfig::parse("postgres://h/b?sslmode=no").unwrap_err().field, "database.sslmode");
    }

    #[test]
    fn separate_tls_settings_win() {
        let config = DatabaseConfig::parse("postgres://h/b?sslmode=disable").unwrap();
        let DatabaseConfig::Postgres(config) = config.with_tls(Some("verify-ca"), Some(Path::new("x"))).unwrap() else {
            panic!("not postgres")
        };
        assert_eq!((config.tls_mode, config.root_cert), (TlsMode::VerifyCa, Some("x".into())));
    }
}
