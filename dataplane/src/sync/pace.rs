//! When to send a heartbeat, and when silence means that the other side is gone.

use std::time::Duration;

use tokio::time::Instant;

/// Until Welcome says how often.
const BEFORE_WELCOME: Duration = Duration::from_secs(5);
/// A heartbeat more often than this would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(10);
/// Heartbeats that may be missed.
const MISSED: u32 = 3;

/// The rhythm of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    heartbeat: Duration,
    heard: Instant,
    sent: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { heartbeat: BEFORE_WELCOME, heard: now, sent: now }
    }

    /// What Welcome said; 0 says nothing.
    pub(super) fn agree(&mut self, heartbeat_ms: u32) {
        if heartbeat_ms > 0 {
            self.heartbeat = Duration::from_millis(heartbeat_ms.into()).max(SHORTEST);
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// When something must be sent.
    pub(super) fn heartbeat_due(&self) -> Instant {
        self.sent + self.heartbeat
    }

    /// When the stream counts as dead.
    pub(super) fn silent_from(&self) -> Instant {
        self.heard + self.heartbeat * MISSED
    }
}
