//! From text to a [`Config`], or to the first setting that cannot be accepted.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use http::Uri;
use tracing_subscriber::EnvFilter;

use super::{Args, Config, ConfigError, Secret};
use crate::logging::LogFormat;

const MAX_THREADS: usize = 1024;
const MAX_CLIENTS: usize = 1 << 30;

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let listen = address("listen", &args.listen)?;
        let control_planes = control_planes(&args.control_planes)?;
        Ok(Self {
            control_plane_tls: args.control_plane_tls.tls(&control_planes)?,
            control_planes,
            token: secret("token", &args.token)?,
            listen,
            admin_listen: admin_listen(&args)?,
            admin_token: secret("admin-token", &args.admin_token)?,
            admin_max_connections: number("admin-max-connections", &args.admin_max_connections, 2, 1_000_000)?,
            state_dir: state_dir(&args.state_dir, listen.port()),
            threads: threads(&args.proxy.threads)?,
            max_clients: number("max-clients", &args.proxy.max_clients, 1, MAX_CLIENTS)?,
            replica_id: replica_id(&args.proxy.replica_id)?,
            serve: args.proxy.serve_options()?,
            log_format: choice(
                "log-format",
                &args.log_format,
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            )?,
            log_level: log_level(&args.log_level)?,
        })
    }
}

pub(super) fn error(flag: &str, value: &str, expected: impl Into<String>) -> ConfigError {
    let variable = flag.replace('-', "_").to_uppercase();
    ConfigError { key: format!("--{flag} (BALANCER_{variable})"), value: value.into(), expected: expected.into() }
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| error(flag, text, "ip:port, e.g. 127.0.0.1:8080 or [::1]:8080"))
}

fn admin_listen(args: &Args) -> Result<SocketAddr, ConfigError> {
    let address = address("admin-listen", &args.admin_listen)?;
    if address.ip().is_loopback() || !args.admin_token.is_empty() || args.admin_allow_remote_without_token {
        return Ok(address);
    }
    let expected =
        "a loopback address; elsewhere --admin-token, or --admin-allow-remote-without-token if that is meant";
    Err(error("admin-listen", &args.admin_listen, expected))
}

fn control_planes(texts: &[String]) -> Result<Vec<Uri>, ConfigError> {
    let given: Vec<_> = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    if given.is_empty() {
        return Err(error("control-plane", "", "at least one http://host:port or https://host:port"));
    }
    given.into_iter().map(control_plane).collect()
}

fn control_plane(text: &str) -> Result<Uri, ConfigError> {
    // What stands before an @ may be a password.
    let shown = if text.contains('@') { "one with a user or a password" } else { text };
    let fault = || error("control-plane", shown, "http://host:port or https://host:port without a path");
    let uri = Uri::from_str(text).map_err(|_| fault())?;
    let plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
    let named =
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    if plain && named { Ok(uri) } else { Err(fault()) }
}

/// A token must fit in an HTTP header; its value is not shown.
fn secret(flag: &str, text: &str) -> Result<Option<Secret>, ConfigError> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(error(flag, "…", "printable ASCII without spaces"))
}

/// By default each data plane of one working directory gets its own, told apart by the port it serves.
fn state_dir(text: &str, port: u16) -> Option<PathBuf> {
    match text {
        "none" => None,
        "" => Some(PathBuf::from(format!(".balancer/dataplane-{port}"))),
        path => Some(PathBuf::from(path)),
    }
}

fn threads(text: &str) -> Result<usize, ConfigError> {
    if text.is_empty() {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS));
    }
    number("threads", text, 1, MAX_THREADS)
}

pub(super) fn number<N>(flag: &str, text: &str, least: N, most: N) -> Result<N, ConfigError>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    let fault = || error(flag, text, format!("a whole number from {least} to {most}"));
    let number = text.parse().map_err(|_| fault())?;
    if number >= least && number <= most { Ok(number) } else { Err(fault()) }
}

pub(super) fn choice<T: Copy>(flag: &str, text: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        error(flag, text, names.join(" or "))
    })
}

fn replica_id(text: &str) -> Result<Option<String>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let printable = text.len() <= 256 && !text.chars().any(char::is_control);
    if printable { Ok(Some(text.into())) } else { Err(error("replica-id", text, "1 to 256 bytes of printable text")) }
}

/// A name that no other data plane has.
pub(crate) fn made_up_replica_id() -> String {
    format!("{}-{}-{:08x}", hostname(), std::process::id(), fastrand::u32(..))
}

/// What this machine is called.
pub fn hostname() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = kernel.trim();
    if name.is_empty() { "dataplane".into() } else { name.into() }
}

fn log_level(text: &str) -> Result<String, ConfigError> {
    let expected = "error, warn, info, debug, trace, or a filter such as info,dataplane::sync=debug";
    // The filter takes any word for a module's name, so that `inof` would mean "only from the crate inof".
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |part: &str| part.contains(['=', ':', '[']) || levels.contains(&part.to_ascii_lowercase().as_str());
    let valid = EnvFilter::try_new(text).is_ok() && text.split(',').all(|part| known(part.trim()));
    if valid { Ok(text.into()) } else { Err(error("log-level", text, expected)) }
}
