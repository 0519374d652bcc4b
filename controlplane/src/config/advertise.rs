//! `admin.advertise`: where others reach the admin port.

use std::net::{IpAddr, Ipv6Addr};

use url::Url;

use super::{AdminConfig, ConfigError, field::Field};

/// Reads the key. Empty: not set.
pub(super) fn read(field: &Field) -> Result<Option<String>, ConfigError> {
    let text = field.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    // A user or a password is not repeated.
    match Url::parse(text).ok().filter(is_origin) {
        Some(url) => Ok(Some(url.as_str().trim_end_matches('/').to_owned())),
        None => Err(field.fault("expected http://host:port or https://host:port, without a user or a path")),
    }
}

fn is_origin(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    matches!(url.scheme(), "http" | "https") && plain && url.fragment().is_none() && url.path() == "/"
}

impl AdminConfig {
    /// URL by which data planes reach the admin port, which listens on `port`; `None`: it is not known, because it
    /// listens on every address and `admin.advertise` is not set.
    pub fn advertised(&self, port: u16) -> Option<String> {
        if self.advertise.is_some() {
            return self.advertise.clone();
        }
        let address = self.host.parse::<IpAddr>().ok();
        if address.is_some_and(|address| address.is_unspecified()) {
            return None;
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => Some(format!("{scheme}://[{address}]:{port}")),
            Err(_) => Some(format!("{scheme}://{}:{port}", self.host)),
        }
    }
}
