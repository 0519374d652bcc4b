//! What the operating system asks of a server.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Args, Config};

/// Cancels `shutdown` at the first SIGTERM or SIGINT.
pub fn on_terminate(shutdown: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        shutdown.cancel();
    });
    Ok(())
}

/// Reads the configuration again at every SIGHUP. A bad one changes nothing: it is logged and not passed on.
pub fn on_hangup(args: Args) -> std::io::Result<mpsc::Receiver<Config>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match config::load(&args) {
                Ok(config) => _ = send.send(config).await,
                Err(error) => tracing::error!(%error, "SIGHUP: the configuration stays as it was"),
            }
        }
    });
    Ok(receive)
}
