//! Whether the database answers, asked once a second.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, store::Store};

/// Time between questions.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the last question found.
pub(crate) struct Probe {
    fault: watch::Sender<Option<String>>,
}

impl Probe {
    /// Begins as available: the store has just been opened.
    pub(crate) fn new() -> Self {
        Self { fault: watch::Sender::new(None) }
    }

    /// Why the database cannot be used; `None` while it can.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    fn set(&self, fault: Option<String>) {
        self.fault.send_if_modified(|current| {
            match (&current, &fault) {
                (None, Some(error)) => {
                    tracing::error!(error, "the database cannot be used; the last configuration stays")
                }
                (Some(_), None) => tracing::info!("the database can be used again"),
                _ => return false,
            }
            *current = fault;
            true
        });
    }
}

/// Asks until `shutdown`.
pub(crate) async fn run(probe: Arc<Probe>, store: Store, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ask = async || {
        ticks.tick().await;
        store.ping().await
    };
    while let Some(answer) = shutdown.run_until_cancelled(ask()).await {
        metrics.database_up(answer.is_ok());
        probe.set(answer.err().map(|error| error.to_string()));
    }
}
