//! `database`.

use std::path::Path;

use super::{
    ConfigError,
    field::{Field, Section},
};
use crate::{domain::Invalid, store::DatabaseConfig};

/// Without configuration: a SQLite file in the working directory.
const DEFAULT_URL: &str = "sqlite://balancer.db";

/// Reads the section. Errors never show the URL, which may hold a password.
pub(super) fn read(mut section: Section) -> Result<DatabaseConfig, ConfigError> {
    let (url, mode, root) = (section.take("url"), section.take("sslmode"), section.take("sslrootcert"));
    section.finish()?;
    let text = url.as_ref().map_or(Ok(DEFAULT_URL), Field::text)?;
    let parsed = DatabaseConfig::parse(text).map_err(|invalid| blame(url.as_ref(), invalid))?;
    let mode_text = mode.as_ref().map(Field::text).transpose()?;
    let root = root.as_ref().map(Field::text).transpose()?;
    parsed.with_tls(mode_text, root.map(Path::new)).map_err(|invalid| blame(mode.as_ref(), invalid))
}

fn blame(field: Option<&Field>, invalid: Invalid) -> ConfigError {
    match field {
        Some(field) => field.fault(invalid.expected),
        None => ConfigError { origin: "default".into(), key: invalid.field.into(), problem: invalid.expected },
    }
}
