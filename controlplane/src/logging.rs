//! Log lines on stderr: text for people, JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// How log lines look, and which are written.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// text: for people; json: one object per line
    #[arg(long, env = "BALANCER_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace, or a filter such as controlplane=debug
    #[arg(long, env = "BALANCER_LOG_LEVEL", default_value = "info", value_parser = filter)]
    pub log_level: EnvFilter,
}

/// The libraries of HTTP/2 and TLS warn of each frame in which a client does wrong, and nobody may fill the log by that.
/// What names them behind this counts.
const QUIET_LIBRARIES: &str = "h2=error,hyper=error,rustls=error";

/// The filter takes any word for a module's name, so that `inof` would mean "only from the crate inof": a word alone must
/// be a level.
fn filter(text: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |part: &str| part.contains(['=', ':', '[']) || LEVELS.contains(&part.to_ascii_lowercase().as_str());
    match text.split(',').map(str::trim).find(|part| !known(part)) {
        Some(part) => Err(format!("expected one of {}, or module=level, got {part:?}", LEVELS.join(", "))),
        None if text.eq_ignore_ascii_case("off") => EnvFilter::try_new(text).map_err(|error| error.to_string()),
        None => EnvFilter::try_new(format!("{QUIET_LIBRARIES},{text}")).map_err(|error| error.to_string()),
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(args: &LogArgs) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match args.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // It fails only if logging was started before, e.g. by the other plane in the same process.
    let _ = registry().with(lines.with_filter(args.log_level.clone())).try_init();
}
