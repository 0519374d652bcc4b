//! What a connection is doing, and how long it may go on with it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// How long a connection may do what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is clear which HTTP is spoken; HTTP/1: from the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// HTTP/1: from a request's head to the end of its answer, and from there to the next request.
    pub(crate) exchange: Duration,
    /// HTTP/2: without a stream. Streams end by the rules of their services.
    pub(crate) without_stream: Duration,
    /// At a shutdown: HTTP/2 without a stream, or a request whose head has not come.
    pub(crate) farewell: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            exchange: Duration::from_secs(75),
            without_stream: Duration::from_secs(300),
            farewell: Duration::from_millis(500),
        }
    }
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// State of one connection, seen by those who read it, answer on it, and end it. Clones share it.
#[derive(Clone)]
pub(super) struct Pulse(Arc<watch::Sender<State>>);

#[derive(Clone, Copy)]
struct State {
    /// `None`: it has not become clear.
    protocol: Option<Protocol>,
    /// Requests whose answer has not ended.
    in_flight: usize,
    /// Bytes have come while nothing was in flight.
    head_begun: bool,
    /// Since when it does what it does.
    since: Instant,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let state = State { protocol: None, in_flight: 0, head_begun: false, since: Instant::now() };
        Self(Arc::new(watch::Sender::new(state)))
    }

    #[cfg(test)]
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.0.borrow().protocol
    }

    pub(super) fn speaks(&self, protocol: Protocol) {
        self.0.send_modify(|state| *state = State { protocol: Some(protocol), since: Instant::now(), ..*state });
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        self.0.send_if_modified(|state| {
            let begins = state.protocol == Some(Protocol::Http1) && state.in_flight == 0 && !state.head_begun;
            if begins {
                *state = State { head_begun: true, since: Instant::now(), ..*state };
            }
            begins
        });
    }

    /// A request is in flight until what this answers is dropped.
    pub(super) fn request(&self) -> InFlight {
        self.0.send_modify(|state| {
            *state = State { in_flight: state.in_flight + 1, head_begun: false, since: Instant::now(), ..*state };
        });
        InFlight(self.clone())
    }

    /// Ends when the connection has done the same thing for too long.
    pub(super) async fn expired(&self, patience: &Patience) {
        let mut state = self.0.subscribe();
        loop {
            let deadline = state.borrow_and_update().deadline(patience);
            tokio::select! {
                () = reached(deadline) => return,
                // The sender is here.
                _ = state.changed() => {}
            }
        }
    }

    /// Ends when nothing has been going on for so long that a shutdown need not wait for it.
    pub(super) async fn silent(&self, patience: &Patience) {
        let mut state = self.0.subscribe();
        loop {
            let _ = state.wait_for(State::is_silent).await;
            if timeout(patience.farewell, state.wait_for(|state| !state.is_silent())).await.is_err() {
                return;
            }
        }
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl State {
    fn deadline(&self, patience: &Patience) -> Option<Instant> {
        let within = match self.protocol {
            None => patience.head,
            Some(Protocol::Http1) if self.head_begun => patience.head,
            Some(Protocol::Http1) => patience.exchange,
            Some(Protocol::Http2) if self.in_flight > 0 => return None,
            Some(Protocol::Http2) => patience.without_stream,
        };
        Some(self.since + within)
    }

    /// HTTP/1 that has answered is not silent yet: the end of the answer may still be on its way, after which it closes.
    fn is_silent(&self) -> bool {
        self.in_flight == 0 && (self.head_begun || self.protocol != Some(Protocol::Http1))
    }
}

/// A request whose answer has not ended.
pub(super) struct InFlight(Pulse);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            *state = State { in_flight: state.in_flight - 1, since: Instant::now(), ..*state };
        });
    }
}
