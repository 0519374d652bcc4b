//! A backend that does as it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use anyhow::Result;
use tokio::{net::TcpListener, task::JoinSet};

use crate::raw::{Head, Raw};

/// A server in the test's own process: `/health` answers with a status that can be changed, any other request is
/// handed to the story's script.
pub struct Scripted {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

struct State {
    health: AtomicU16,
    heads: Mutex<Vec<Head>>,
}

impl Scripted {
    /// Starts one; `script` gets each request's head and the connection to answer on, which is closed afterwards.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start<S, F>(script: S) -> Result<Self>
    where
        S: Fn(Head, Raw) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { health: AtomicU16::new(200), heads: Mutex::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, state.clone(), Arc::new(script)));
        Ok(Self { address, state, _accepting: accepting })
    }

    /// Starts one that answers every request with these bytes.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn answering(bytes: &'static [u8]) -> Result<Self> {
        Self::start(move |_, mut raw| async move { raw.send(bytes).await }).await
    }

    /// Changes what its health check answers.
    pub fn set_health(&self, status: u16) {
        self.state.health.store(status, Relaxed);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As the configuration names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Heads of the requests so far, health checks left out.
    pub fn heads(&self) -> Vec<Head> {
        self.state.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept<S, F>(listener: TcpListener, state: Arc<State>, script: Arc<S>)
where
    S: Fn(Head, Raw) -> F + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (state, script) = (state.clone(), script.clone());
        connections.spawn(async move {
            let mut raw = Raw::new(stream);
            // A peer that hangs up is no fault of the script's; the story sees what the proxy makes of it.
            let Ok(head) = raw.head().await else { return };
            let _ = match head.first_line().split(' ').nth(1) {
                Some("/health") => health(&state, &mut raw).await,
                _ => {
                    state.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
                    script(head, raw).await
                }
            };
        });
    }
}

async fn health(state: &State, raw: &mut Raw) -> Result<()> {
    let status = state.health.load(Relaxed);
    raw.send(format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).await
}
