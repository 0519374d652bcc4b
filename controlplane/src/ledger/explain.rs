//! The ledger as people see it.

use std::time::Duration;

use super::{Ledger, member::Standing};

/// One client's tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Tokens the bucket holds.
    pub capacity: f64,
    /// Tokens added per second.
    pub rate_per_sec: f64,
    /// Tokens the ledger could give out now, at least 0.
    pub available: f64,
    /// Who holds what.
    pub holders: Vec<Holds>,
    /// Data planes that wait for an answer.
    pub waiting: usize,
}

/// What a data plane has of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Holds {
    /// Which.
    pub replica_id: String,
    /// It refills the bucket itself; how much is in it only it knows.
    pub whole: bool,
    /// Most tokens it can have.
    pub tokens: f64,
    /// Nobody asks there now.
    pub idle: bool,
    /// How long what it holds is held for it at least, unless it is renewed.
    pub lease_left: Duration,
}

/// A data plane.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView {
    /// Which.
    pub replica_id: String,
    /// How it stands.
    pub stand: Stand,
    /// Its standing share of every free client.
    pub share: f64,
}

/// How a data plane stands with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It has a lease, or is about to.
    Leased,
    /// Its stream ended; its lease has not.
    Closed,
    /// It fell silent; its share is set aside.
    Lost,
}

impl Ledger {
    /// The account of a client; `None`: it is free, its bucket is full.
    pub fn explain(&self, key: u64, now: Duration) -> Option<Explanation> {
        let mut entry = self.entries.get(&key)?.clone();
        self.journal.tell(key, &mut entry);
        entry.settle(self.factor, now);
        let holds = |holder: &super::holder::Holder| {
            let member = self.members.get(&holder.member);
            Holds {
                replica_id: member.map(|m| m.replica_id.clone()).unwrap_or_default(),
                whole: holder.whole,
                tokens: if holder.whole { entry.capacity * self.factor } else { holder.upper },
                idle: holder.idle,
                lease_left: member.map(|m| m.lease_floor.saturating_sub(now)).unwrap_or_default(),
            }
        };
        Some(Explanation {
            capacity: entry.capacity,
            rate_per_sec: entry.rate_per_sec,
            available: if entry.is_whole() { 0.0 } else { (entry.total - entry.held()).max(0.0) },
            holders: entry.holders.iter().map(holds).collect(),
            waiting: self.waiting.get(&key).map_or(0, Vec::len),
        })
    }

    /// All data planes the ledger knows.
    pub fn members(&self) -> Vec<MemberView> {
        let stand = |standing| match standing {
            Standing::Connected => Stand::Leased,
            Standing::Closed => Stand::Closed,
            Standing::Lost | Standing::Returning => Stand::Lost,
        };
        let view = |m: &super::Member| MemberView {
            replica_id: m.replica_id.clone(),
            stand: stand(m.standing),
            share: m.share,
        };
        self.members.values().map(view).collect()
    }

    /// The part of every limit that is not set aside for data planes that were lost.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Clients that are not free.
    pub fn accounts(&self) -> usize {
        self.entries.len()
    }

    /// Whether it still waits for data planes of the ledger before it.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }
}
