//! Being asked to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the user presses Ctrl-C or the process is told to terminate.
pub(crate) async fn interrupted() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
