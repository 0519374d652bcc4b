//! What of a failed connection waiting cannot mend, and what to do about it.

use std::error::Error as StdError;
use std::io;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, Error};

use crate::store::config::describe;

/// Why the server does not let us in as we come; `None`: it may do so later.
pub(super) fn sentence(config: &Config, error: &Error) -> Option<String> {
    let (user, name) = (config.get_user().unwrap_or_default(), config.get_dbname().unwrap_or_default());
    let Some(code) = error.code() else { return without_code(user, error) };
    let said = error.as_db_error().map_or("no reason given", |error| error.message());
    Some(match *code {
        SqlState::INVALID_PASSWORD => {
            format!("the server refused the password of user {user:?}: correct it in database.url or PG_PASSWORD")
        }
        SqlState::INVALID_CATALOG_NAME => {
            format!("the server has no database {name:?}: create it, or name another one in database.url")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION | SqlState::INSUFFICIENT_PRIVILEGE => {
            format!("the server refused user {user:?} ({said}): check database.url, the role and pg_hba.conf")
        }
        _ => return None,
    })
}

/// What is found out on this side. tokio-postgres tells its kinds of errors apart in their texts only.
fn without_code(user: &str, error: &Error) -> Option<String> {
    let text = describe(error);
    if text.contains("password missing") {
        return Some(format!("the server asks for a password of user {user:?}: set it in database.url or PG_PASSWORD"));
    }
    if text.contains("server does not support TLS") {
        return Some("the server does not speak TLS, and database.sslmode asks for it".into());
    }
    if let Some(fault) = tls_fault(error) {
        return Some(format!(
            "TLS with the server failed ({fault}): check database.sslmode, database.sslrootcert and the host's name"
        ));
    }
    let unauthentic = text.starts_with("authentication error");
    unauthentic.then(|| format!("the server's way to authenticate user {user:?} does not work here ({text})"))
}

/// The fault that rustls found, if it was one.
fn tls_fault(error: &Error) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(source) = next {
        // An io::Error has no source where it is a wrapper itself.
        let inner = source.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        let fault = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => source.downcast_ref::<rustls::Error>(),
        };
        if let Some(fault) = fault {
            return Some(fault.to_string());
        }
        next = source.source();
    }
    None
}
