//! What the operating system asks of a server.

mod hangup;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use hangup::on_hangup;

/// SIGTERM and SIGINT.
struct Terminations {
    terminate: Signal,
    interrupt: Signal,
}

/// Cancels `shutdown` at the first SIGTERM or SIGINT. The second ends the process at once, with exit code 1: whoever is
/// in a hurry, or sees it hang, gets what they want, and a supervisor sees that requests were cut off.
///
/// # Errors
/// When the system does not let us hear them.
pub fn on_terminate(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut signals =
        Terminations { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping: finishing requests in flight; again to stop at once");
        shutdown.cancel();
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
