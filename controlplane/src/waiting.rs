//! The time before the database has been opened.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{backoff::Backoff, store::StoreError};

/// Ceilings of the pauses between tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A start that goes well is over before this; one that does not is told about.
const UNTOLD: Duration = Duration::from_secs(5);

/// Why the database is not open yet.
pub(crate) struct Waiting {
    /// `None`: no try has failed.
    fault: watch::Sender<Option<String>>,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self { fault: watch::Sender::new(None) }
    }

    /// What callers are told.
    pub(crate) fn reason(&self) -> String {
        let opening = || "the database is being opened; another control plane may be changing its schema".to_owned();
        self.fault.borrow().clone().unwrap_or_else(opening)
    }

    /// Ends when callers should be told that it takes longer.
    pub(crate) async fn is_long(&self) {
        let mut fault = self.fault.subscribe();
        let _ = timeout(UNTOLD, fault.wait_for(Option::is_some)).await;
    }

    /// Tries until it works, or fails in a way that waiting cannot mend.
    pub(crate) async fn until<T, F>(&self, mut open: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        loop {
            match open().await {
                Err(error @ StoreError::Unavailable(_)) => self.failed(&error),
                done => {
                    self.over(done.is_ok());
                    return done;
                }
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Says so once per reason: it may last.
    fn failed(&self, error: &StoreError) {
        let error = error.to_string();
        self.fault.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(&error);
            if is_new {
                tracing::warn!(error, "waiting for the database");
                *known = Some(error);
            }
            is_new
        });
    }

    fn over(&self, opened: bool) {
        if opened && self.fault.borrow().is_some() {
            tracing::info!("the database answers");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn it_tries_until_it_works_or_cannot() {
        let (waiting, mut tries) = (Waiting::new(), 0);
        let opened = waiting.until(|| {
            tries += 1;
            ready(if tries < 3 { Err(StoreError::Unavailable("gone".into())) } else { Ok(tries) })
        });
        assert_eq!(opened.await.unwrap(), 3);
        assert_eq!(waiting.reason(), "the database does not answer: gone");
        waiting.is_long().await;
        let refused = waiting.until(|| ready(Err::<(), _>(StoreError::Refused("no such user".into()))));
        assert!(matches!(refused.await, Err(StoreError::Refused(_))));
    }
}
