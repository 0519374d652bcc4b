//! From the tree to a [`Config`].

use std::{path::PathBuf, time::Duration};

use super::{
    Config, ConfigError, HEARTBEAT, ServerConfig, admin, backends, database, field, field::Section, settings,
    tree::Node,
};

/// Longest time between checks that is accepted, in seconds.
pub(super) const MAX_INTERVAL_SEC: f64 = 86_400.0;

/// Reads every key; unknown ones are errors.
pub(super) fn config(file: Option<PathBuf>, root: Node) -> Result<Config, ConfigError> {
    let mut root = field::root(root)?;
    let config = Config {
        file,
        server: server(root.section("server")?)?,
        check_interval: check_interval(&mut root)?,
        settings: settings::read(&mut root)?,
        backends: backends::read(root.take("backend_list"))?,
        admin: admin::read(root.section("admin")?)?,
        database: database::read(root.section("database")?)?,
        heartbeat: HEARTBEAT,
    };
    root.finish()?;
    Ok(config)
}

fn server(mut section: Section) -> Result<ServerConfig, ConfigError> {
    let host = section.take("host").map(|f| f.text().map(str::to_owned)).transpose()?;
    let port = port(&mut section, 8080)?;
    section.finish()?;
    Ok(ServerConfig { host: host.unwrap_or_else(|| "127.0.0.1".into()), port })
}

/// The section's `port`.
pub(super) fn port(section: &mut Section, default: u16) -> Result<u16, ConfigError> {
    let Some(field) = section.take("port") else { return Ok(default) };
    Ok(field.whole(0..=65_535)? as u16)
}

fn check_interval(root: &mut Section) -> Result<Duration, ConfigError> {
    let Some(field) = root.take("ticker_rate_sec") else { return Ok(Duration::from_secs(1)) };
    Ok(Duration::from_secs_f64(field.number(0.01..=MAX_INTERVAL_SEC, " seconds")?))
}
