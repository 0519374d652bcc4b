//! `database`.

use std::path::Path;

use super::{
    ConfigError,
    field::{Field, Section},
    tree::Origin,
};
use crate::{domain::Invalid, store::DatabaseConfig};

/// Without configuration: a SQLite file in the working directory.
const DEFAULT_URL: &str = "sqlite://balancer.db";

/// Reads the section. Errors never show the URL, which may hold a password.
pub(super) fn read(mut section: Section) -> Result<DatabaseConfig, ConfigError> {
    let (url, mode, root) = (section.take("url"), section.take("sslmode"), section.take("sslrootcert"));
    section.finish()?;
    let text = url.as_ref().map_or(Ok(DEFAULT_URL), Field::text)?;
    let mode = mode.filter(|mode| !beaten(mode, url.as_ref(), "sslmode"));
    let root = root.filter(|root| !beaten(root, url.as_ref(), "sslrootcert"));
    let mode_text = mode.as_ref().map(Field::text).transpose()?;
    let root_path = root.as_ref().map(Field::text).transpose()?.map(Path::new);
    let read = DatabaseConfig::parse(text).and_then(|parsed| parsed.with_tls(mode_text, root_path));
    let checked = read.and_then(|database| database.check().map(|()| database));
    checked.map_err(|invalid| {
        let own = match invalid.field {
            "database.sslmode" => mode.as_ref(),
            "database.sslrootcert" => root.as_ref(),
            _ => None,
        };
        blame(own.or(url.as_ref()), invalid)
    })
}

/// A URL from a flag or a variable beats the file's key in what it says itself.
fn beaten(key: &Field, url: Option<&Field>, parameter: &str) -> bool {
    let weaker = matches!(key.node.origin, Origin::File { .. });
    let stronger = url.filter(|url| weaker && matches!(url.node.origin, Origin::Flag { .. }));
    let query = stronger.and_then(|url| url.text().ok()?.split_once('?')).map(|(_, query)| query);
    query.is_some_and(|query| url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == parameter))
}

fn blame(field: Option<&Field>, invalid: Invalid) -> ConfigError {
    match field {
        Some(field) => field.fault(invalid.expected),
        None => ConfigError { origin: "default".into(), key: invalid.field.into(), problem: invalid.expected },
    }
}
