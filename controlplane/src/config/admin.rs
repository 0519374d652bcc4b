//! `admin`: the port for operators, data planes and monitoring.

use std::net::IpAddr;

use super::{
    ConfigError, admin_tls, advertise,
    field::{Field, Section},
    read,
};
use crate::{auth::Token, tls::AdminTls};

/// Where the admin port listens and who may use it.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// An IP address or a host name.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// What callers must send; `None`: nothing.
    pub token: Option<Token>,
    /// An operator's word that other hosts may reach the port without a token.
    pub allow_remote_without_token: bool,
    /// Connections it may have at once; one address may have half of them.
    pub max_connections: usize,
    /// How callers must speak; `None`: without TLS.
    pub tls: Option<AdminTls>,
    /// Where others reach the port; `None`: see [`AdminConfig::advertised`].
    pub advertise: Option<String>,
}

impl AdminConfig {
    /// Host and port to listen on.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

/// Reads the section, and refuses a port that anybody on the network could use.
pub(super) fn read(mut section: Section) -> Result<AdminConfig, ConfigError> {
    let host_field = section.take("host");
    let admin = AdminConfig {
        host: host_field.as_ref().map_or(Ok("127.0.0.1"), Field::text)?.to_owned(),
        port: read::port(&mut section, 9090)?,
        token: section.take("token").map(|f| token(&f)).transpose()?.flatten(),
        allow_remote_without_token: section.take("allow_remote_without_token").map_or(Ok(false), |f| f.boolean())?,
        max_connections: max_connections(section.take("max_connections"))?,
        tls: admin_tls::read(section.section("tls")?)?,
        advertise: section.take("advertise").map(|f| advertise::read(&f)).transpose()?.flatten(),
    };
    section.finish()?;
    match host_field {
        Some(field) if exposed(&admin) => Err(field.fault(format!(
            "expected a loopback address, or admin.token (BALANCER_ADMIN_TOKEN) to be set, got {:?}; \
             --admin-allow-remote-without-token starts all the same",
            admin.host
        ))),
        _ => Ok(admin),
    }
}

fn max_connections(field: Option<Field>) -> Result<usize, ConfigError> {
    field.map_or(Ok(512), |field| Ok(field.whole(2..=1_000_000)? as usize))
}

fn exposed(admin: &AdminConfig) -> bool {
    let loopback = match admin.host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => admin.host == "localhost",
    };
    !loopback && admin.token.is_none() && !admin.allow_remote_without_token
}

/// An empty token is no token. The value must not appear in the error.
fn token(field: &Field) -> Result<Option<Token>, ConfigError> {
    let text = field.text().map_err(|_| field.fault("expected text (put it in quotes)"))?;
    if text.is_empty() {
        return Ok(None);
    }
    Token::new(text).map(Some).map_err(|expected| field.fault(expected))
}
