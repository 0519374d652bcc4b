//! The proxy port: one thread per core, each with its own runtime, listener and connections to backends.
//!
//! Threads share nothing a request has to wait for. The kernel spreads new connections over the listeners by hash
//! (`SO_REUSEPORT`); a thread that got clearly more than its share hands new ones to the thread with the fewest.

mod accept;
mod admission;
mod announce;
mod balance_threads;
mod bind;
mod complaints;
mod connection;
mod descriptors;
mod gather;
mod h1;
mod h2;
mod stream;
mod timers;
pub mod tls;
mod worker;

use std::{io, net::TcpListener, sync::Arc, thread, time::Duration};

use tokio_util::sync::CancellationToken;

pub use crate::proxy::ProxyOptions;
pub use admission::ConnectionCaps;
pub use announce::Announcers;
pub use bind::bind;
pub(crate) use descriptors::raise_limit;
pub(crate) use timers::Deadline;
pub(crate) use worker::Worker;

use crate::{proxy::RetryBudget, shared::Shared};
use admission::Admission;
use balance_threads::Threads;
use worker::WorkerOptions;

/// What an operator can set about serving.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// How long requests in flight may take to finish on shutdown; then their connections are cut.
    pub grace: Duration,
    /// Time-outs and switches of the request path.
    pub proxy: ProxyOptions,
    /// With these the port speaks TLS only.
    pub tls: Option<tls::Certificates>,
    /// How many connections there may be.
    pub caps: ConnectionCaps,
    /// With these, connections come from balancers in front, and begin with a PROXY protocol header.
    pub announcers: Option<Announcers>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            proxy: ProxyOptions::default(),
            tls: None,
            caps: ConnectionCaps::default(),
            announcers: None,
        }
    }
}

/// Serves on `listeners` (of [`bind`]; one thread each) until `shutdown`, then finishes what is in flight.
///
/// # Errors
/// When a thread cannot be started or a listener cannot be used.
pub async fn serve(
    shared: Arc<Shared>,
    options: ServeOptions,
    listeners: Vec<TcpListener>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (threads, inboxes) = Threads::new(listeners.len());
    let budget = Arc::new(RetryBudget::default());
    let admission = Admission::new(options.caps, listeners.len(), shared.clone());
    let pipes = descriptors::pipes_per_thread(listeners.len());
    let mut ended = Vec::new();
    for (index, (listener, inbox)) in listeners.into_iter().zip(inboxes).enumerate() {
        let worker = WorkerOptions {
            index,
            shared: shared.clone(),
            budget: budget.clone(),
            threads: threads.clone(),
            admission: admission.clone(),
            serve: options.clone(),
            pipes,
            // Each thread asks its own for every answer.
            shutdown: shutdown.child_token(),
        };
        let (done, end) = tokio::sync::oneshot::channel();
        thread::Builder::new().name(format!("proxy-{index}")).spawn(move || {
            // Nobody listens any more only when `serve` itself was dropped.
            let _ = done.send(worker.run(listener, inbox));
        })?;
        ended.push(end);
    }
    for end in ended {
        end.await.unwrap_or_else(|_| Err(io::Error::other("a proxy thread panicked")))?;
    }
    Ok(())
}
