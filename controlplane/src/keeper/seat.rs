//! Where a data plane's answers go.

use std::time::{Duration, Instant};

use balancer_proto::v1::LeaseResponse;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tonic::Status;

/// A data plane that takes nothing for so long is cut off.
const STUCK: Duration = Duration::from_secs(1);

/// A stream to a data plane.
pub(crate) struct Seat {
    down: mpsc::Sender<Result<LeaseResponse, Status>>,
    /// Says why the stream ends.
    end: oneshot::Sender<Result<(), Status>>,
    /// Since when there is no room.
    full_since: Option<Instant>,
}

impl Seat {
    /// Answers go to `down`, and the reason of the end to whoever waits for what this also answers. An end without a
    /// reason means that the keeper is gone.
    pub(crate) fn new(
        down: mpsc::Sender<Result<LeaseResponse, Status>>,
    ) -> (Self, oneshot::Receiver<Result<(), Status>>) {
        let (end, ended) = oneshot::channel();
        (Self { down, end, full_since: None }, ended)
    }

    /// Sends what `next` says, if there is room; what is not asked for waits with the ledger.
    pub(super) fn send(&mut self, now: Instant, next: impl FnOnce() -> Option<LeaseResponse>) {
        match self.down.try_reserve() {
            Ok(room) => {
                self.full_since = None;
                if let Some(response) = next() {
                    room.send(Ok(response));
                }
            }
            Err(TrySendError::Full(())) => _ = self.full_since.get_or_insert(now),
            // The stream has ended, and whoever ended it says so.
            Err(TrySendError::Closed(())) => self.full_since = None,
        }
    }

    /// Whether there was no room.
    pub(super) fn is_full(&self) -> bool {
        self.full_since.is_some()
    }

    /// Whether there has been no room for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.full_since.is_some_and(|since| now.saturating_duration_since(since) >= STUCK)
    }

    /// Ends the stream.
    pub(super) fn end(self, why: Result<(), Status>) {
        // If the stream has ended, nobody needs the reason.
        let _ = self.end.send(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_asked_nothing_and_is_stuck_after_a_while() {
        let (down, mut taken) = mpsc::channel(1);
        let (mut seat, ended) = Seat::new(down);
        let start = Instant::now();
        seat.send(start, || Some(LeaseResponse { seq: 1, ..LeaseResponse::default() }));
        seat.send(start, || panic!("there is no room"));
        assert!(seat.is_full() && !seat.is_stuck(start));
        assert!(seat.is_stuck(start + STUCK));
        assert_eq!(taken.recv().await.unwrap().unwrap().seq, 1);
        seat.send(start + STUCK, || None);
        assert!(!seat.is_full() && !seat.is_stuck(start + 2 * STUCK));
        seat.end(Err(Status::aborted("x")));
        assert_eq!(ended.await.unwrap().unwrap_err().message(), "x");
    }
}
