//! Log lines on stderr: text for people, JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, filter::ParseError, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object per line.
    Json,
}

/// The libraries of HTTP/2 and TLS warn of each frame in which a client does wrong, and nobody may fill the log by that.
/// What names them behind this counts.
const QUIET_LIBRARIES: &str = "h2=error,hyper=error,rustls=error";

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(format: LogFormat, level: &str) {
    let filter = filter(level).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET_LIBRARIES},info")));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // It fails only if logging was started before, e.g. by the other plane in the same process.
    let _ = registry().with(lines.with_filter(filter)).try_init();
}

/// What is written at a level, or by a filter.
fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    if level.eq_ignore_ascii_case("off") {
        return EnvFilter::try_new(level);
    }
    EnvFilter::try_new(format!("{QUIET_LIBRARIES},{level}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let filter = |level| super::filter(level).unwrap().to_string();
        assert_eq!(filter("debug,h2=trace"), "rustls=error,hyper=error,h2=trace,debug");
        assert_eq!(filter("off"), "off");
    }
}
