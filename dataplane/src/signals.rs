//! The operating system's wish that the plane end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels; the second ends the process at once, with exit code 1. Needs a
/// runtime.
pub(crate) fn shutdown_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancel = token.clone();
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    tokio::spawn(async move {
        let signal = next().await;
        tracing::info!(signal, "stopping: finishing requests in flight; again to stop at once");
        cancel.cancel();
        let signal = next().await;
        tracing::warn!(signal, "stopped at once");
        std::process::exit(1);
    });
    Ok(token)
}
