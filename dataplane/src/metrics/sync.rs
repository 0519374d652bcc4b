//! The stream to the control plane and the saved snapshot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::clock::{self, Nanos};

/// Counters of the stream to the control plane.
#[derive(Debug, Default)]
pub struct SyncMetrics {
    connected: AtomicBool,
    last_message: AtomicU64,
    streams: AtomicU64,
    failures: AtomicU64,
    acks: AtomicU64,
    nacks: AtomicU64,
}

impl SyncMetrics {
    pub(crate) fn connected(&self) {
        self.connected.store(true, Relaxed);
        self.streams.fetch_add(1, Relaxed);
    }

    pub(crate) fn lost(&self) {
        self.connected.store(false, Relaxed);
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn heard(&self) {
        self.last_message.store(clock::now().0, Relaxed);
    }

    pub(crate) fn acknowledged(&self) {
        self.acks.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.nacks.fetch_add(1, Relaxed);
    }

    /// Whether a stream stands now.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// When the control plane last said anything; the process's start before it ever did.
    pub fn last_message(&self) -> Nanos {
        Nanos(self.last_message.load(Relaxed))
    }

    /// Streams that stood, so far.
    pub fn streams_total(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// Streams lost and attempts that failed, so far; each is followed by another attempt.
    pub fn failures_total(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Configuration steps applied, so far.
    pub fn acks_total(&self) -> u64 {
        self.acks.load(Relaxed)
    }

    /// Configuration steps refused, so far.
    pub fn nacks_total(&self) -> u64 {
        self.nacks.load(Relaxed)
    }
}

/// Counters of the saved snapshot.
#[derive(Debug, Default)]
pub struct StateFileMetrics {
    saves: AtomicU64,
    errors: AtomicU64,
}

impl StateFileMetrics {
    pub(crate) fn saved(&self) {
        self.saves.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    /// Times the snapshot was saved.
    pub fn saves_total(&self) -> u64 {
        self.saves.load(Relaxed)
    }

    /// Times it could not be saved.
    pub fn errors_total(&self) -> u64 {
        self.errors.load(Relaxed)
    }
}
