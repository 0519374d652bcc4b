//! Learns what other control planes of the same database write: LISTEN for speed, a poll for certainty.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::task::AbortOnDropHandle;

use super::CHANNEL;
use super::connector::{Connector, Driver};
use crate::backoff::Backoff;
use crate::store::StoreError;
use crate::store::config::describe;

/// How often the revision is asked for. A notification can be missed; this cannot.
const POLL: Duration = Duration::from_secs(1);
/// How long the answer may take before the connection counts as dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Ceilings of the pause before a new connection.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Keeps `changed` at the newest revision, through lost connections, until it is aborted.
pub(super) async fn follow(connector: Connector, changed: watch::Sender<u64>) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let Err(error) = session(&connector, &changed, &mut backoff).await;
        tracing::debug!(%error, "no longer listening to the database");
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// Listens on one connection until it breaks.
async fn session(
    connector: &Connector,
    changed: &watch::Sender<u64>,
    backoff: &mut Backoff,
) -> Result<Infallible, StoreError> {
    let (client, driver) = connector.connect_raw().await?;
    // Only a hint travels here: if it is full, a wake-up is pending already.
    let (notify, mut notified) = mpsc::channel(1);
    let _driver = AbortOnDropHandle::new(tokio::spawn(drive(driver, notify)));
    answer(client.batch_execute(&format!("LISTEN {CHANNEL}"))).await?;
    backoff.reset();
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            note = notified.recv() => note.ok_or_else(|| StoreError::Unavailable("connection closed".into()))?,
            _ = poll.tick() => {}
        }
        let newest = revision(&client).await?;
        changed.send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }
}

async fn revision(client: &Client) -> Result<u64, StoreError> {
    let row = answer(client.query_one("SELECT revision FROM meta", &[])).await?;
    Ok(row.get::<_, i64>(0).cast_unsigned())
}

async fn answer<T>(query: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_WITHIN, query).await {
        Ok(answer) => answer.map_err(|e| StoreError::Unavailable(describe(&e))),
        Err(_) => Err(StoreError::timed_out(ANSWER_WITHIN)),
    }
}

/// Moves the connection's bytes; ends, and with it `notify`, when the connection does.
async fn drive(mut driver: Driver, notify: mpsc::Sender<()>) {
    while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
        if let AsyncMessage::Notification(_) = message {
            // Full: the receiver will look anyway.
            let _ = notify.try_send(());
        }
    }
}
