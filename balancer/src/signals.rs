//! What the operating system asks of the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT.
struct Terminations {
    terminate: Signal,
    interrupt: Signal,
}

/// Cancels `stop` at the first SIGTERM or SIGINT; the second ends the process at once.
pub(crate) fn on_terminate(stop: CancellationToken) -> io::Result<()> {
    let mut signals =
        Terminations { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping: finishing requests in flight; again to stop at once");
        stop.cancel();
        let name = signals.next().await;
        tracing::warn!(signal = name, "stopped at once");
        std::process::exit(1);
    });
    Ok(())
}

impl Terminations {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
