//! One stream to the ledger: numbers of messages, and when they were sent.

use std::collections::VecDeque;

use crate::clock::Nanos;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// The ledger has said that it knows this data plane.
    pub(super) welcome: bool,
    /// Something that the ledger waits to hear has been applied.
    pub(super) owes_ack: bool,
    begun: Nanos,
    sent_seq: u64,
    last_sent: Nanos,
    heard_seq: u64,
    acked: u64,
    heard: Nanos,
    /// When the requests were sent that have not been echoed.
    sent: VecDeque<(u64, Nanos)>,
}

impl Stream {
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            welcome: false,
            owes_ack: false,
            begun: now,
            sent_seq: 0,
            last_sent: now,
            heard_seq: 0,
            acked: 0,
            heard: now,
            sent: VecDeque::new(),
        }
    }

    /// Whether a request should be sent though there is nothing to ask.
    pub(super) fn is_due(&self, now: Nanos, renew_ns: u64) -> bool {
        self.owes_ack || now.since(self.last_sent) >= renew_ns
    }

    /// Number of a request sent now, and of the newest response applied that it may acknowledge: that is said when
    /// everything is told that was done before.
    pub(super) fn send(&mut self, told_all: bool, now: Nanos) -> (u64, u64) {
        self.sent_seq += 1;
        self.last_sent = now;
        if told_all {
            (self.acked, self.owes_ack) = (self.heard_seq, false);
        }
        self.sent.push_back((self.sent_seq, now));
        (self.sent_seq, self.acked)
    }

    /// A response came; false: it is not the one that was due.
    pub(super) fn receive(&mut self, seq: u64, now: Nanos) -> bool {
        let due = seq == self.heard_seq + 1;
        if due {
            (self.heard_seq, self.heard) = (seq, now);
            // By the answer to the first echo the ledger knows for how long the lease lasts at least.
            self.owes_ack |= seq == 2;
        }
        due
    }

    /// When the request was sent that is echoed; `None`: it was echoed before.
    pub(super) fn echoed(&mut self, seq: u64) -> Option<Nanos> {
        let mut at = None;
        while let Some((_, sent)) = self.sent.front().copied().filter(|(number, _)| *number <= seq) {
            self.sent.pop_front();
            at = Some(sent);
        }
        at
    }

    /// Whether the ledger has been silent for too long.
    pub(super) fn is_silent(&self, now: Nanos, lease_ns: u64, welcome_within_ns: u64) -> bool {
        if self.welcome { now.since(self.heard) > lease_ns } else { now.since(self.begun) > welcome_within_ns }
    }
}
