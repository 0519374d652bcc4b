//! What the wire's messages look like to people and programs.

use std::time::Duration;

pub(crate) mod backend;
pub(crate) mod explain;
pub(crate) mod ledger;
pub(crate) mod limit;
pub(crate) mod number;
pub(crate) mod status;

/// A span in words; below a second in milliseconds, above in whole seconds.
pub(crate) fn span(ms: u64) -> String {
    let span = if ms < 1000 { Duration::from_millis(ms) } else { Duration::from_secs(ms / 1000) };
    humantime::format_duration(span).to_string()
}
