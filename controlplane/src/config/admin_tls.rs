//! `admin.tls`: who the admin port is, and whose certificates it wants to see.

use std::path::PathBuf;

use super::{
    ConfigError,
    field::{Field, Section},
};
use crate::tls::{AdminTls, TlsFiles};

/// Reads the section and the files it names; `None` when it names none.
pub(super) fn read(mut section: Section) -> Result<Option<AdminTls>, ConfigError> {
    let (cert, key) = (path(&mut section, "cert")?, path(&mut section, "key")?);
    let client_ca = path(&mut section, "client_ca")?;
    section.finish()?;
    match (cert, key, client_ca) {
        (Some(cert), Some(key), client_ca) => load(cert, key, client_ca).map(Some),
        (Some((field, _)), None, _) => Err(field.fault("expected admin.tls.key beside it, got none")),
        (None, Some((field, _)), _) => Err(field.fault("expected admin.tls.cert beside it, got none")),
        (None, None, Some((field, _))) => {
            Err(field.fault("expected admin.tls.cert and admin.tls.key beside it, got none"))
        }
        (None, None, None) => Ok(None),
    }
}

type Given = (Field, PathBuf);

/// An empty path is none.
fn path(section: &mut Section, key: &'static str) -> Result<Option<Given>, ConfigError> {
    let Some(field) = section.take(key) else { return Ok(None) };
    let path = PathBuf::from(field.text()?);
    Ok((!path.as_os_str().is_empty()).then_some((field, path)))
}

fn load(cert: Given, key: Given, client_ca: Option<Given>) -> Result<AdminTls, ConfigError> {
    let files = TlsFiles { cert: cert.1, key: key.1, client_ca: client_ca.as_ref().map(|(_, path)| path.clone()) };
    AdminTls::load(files).map_err(|invalid| {
        let blamed = match (invalid.field, &client_ca) {
            ("key", _) => &key.0,
            ("client_ca", Some((field, _))) => field,
            _ => &cert.0,
        };
        blamed.fault(invalid.expected)
    })
}
