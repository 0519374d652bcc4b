//! `--demo`: three echo backends in this process.

use std::{io, net::Ipv4Addr};

use anyhow::{Context, Result};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How many there are.
const BACKENDS: u16 = 3;

/// Backends that run until this is stopped.
pub(crate) struct Demo {
    /// Their URLs, separated by commas, as `--backend-list` takes them.
    pub(crate) urls: String,
    servers: JoinSet<io::Result<()>>,
    stop: CancellationToken,
}

impl Demo {
    /// Starts them on `first_port` and the ports after it, or on any free ones if it is 0.
    pub(crate) async fn start(first_port: u16) -> Result<Self> {
        let (mut urls, mut servers, stop) = (Vec::new(), JoinSet::new(), CancellationToken::new());
        for i in 0..BACKENDS {
            let listener = bind(if first_port == 0 { 0 } else { first_port + i }).await?;
            let address = listener.local_addr()?;
            tracing::info!(listener = "backend", %address, "listening");
            urls.push(format!("http://{address}"));
            servers.spawn(test_backend::run(listener, None, stop.clone()));
        }
        Ok(Self { urls: urls.join(","), servers, stop })
    }

    /// Lets them finish what is in flight.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.servers.join_all().await;
    }
}

async fn bind(port: u16) -> Result<TcpListener> {
    let hint = "choose another port with --demo-port, or leave out --demo if backends run already";
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port} (demo backend): {hint}"))
}
