//! Choosing one of several candidates. Knows nothing of backends: a candidate is an index with a weight, a load, and
//! whether it is acceptable for the request at hand.

mod consistent_hash;
mod least_connections;
mod p2c;
mod random;
mod round_robin;

use std::sync::Arc;

pub use self::{
    consistent_hash::{Member, Ring},
    round_robin::Cursor,
};
use self::{random::Weights, round_robin::Sequence};
use crate::pool::Strategy;

/// The candidates of one choice, by index from 0 to `count`.
pub struct Candidates<A, L> {
    /// How many there are.
    pub count: usize,
    /// Whether one may be chosen.
    pub accept: A,
    /// Requests one has in flight.
    pub load: L,
}

impl<A: Fn(usize) -> bool, L: Fn(usize) -> u32> Candidates<A, L> {
    /// The first acceptable one from `start` on, round to it again.
    fn first_from(&self, start: usize) -> Option<usize> {
        (start..self.count).chain(0..start.min(self.count)).find(|index| (self.accept)(*index))
    }
}

/// A strategy, prepared for a set of weights. Cheap to clone.
#[derive(Clone)]
pub enum Balance {
    /// See the module `round_robin`.
    RoundRobin(Arc<Sequence>),
    /// See the module `least_connections`.
    LeastConnections(Arc<Sequence>),
    /// See the module `p2c`.
    P2c(Arc<Weights>),
    /// See the module `random`.
    Random(Arc<Weights>),
    /// See the module `consistent_hash`.
    ConsistentHash(Ring),
}

impl Balance {
    /// Prepares a strategy that needs nothing but the candidates' weights.
    pub fn by_weight(strategy: Strategy, weights: &[u32]) -> Self {
        match strategy {
            Strategy::RoundRobin => Self::RoundRobin(Arc::new(Sequence::new(weights))),
            Strategy::LeastConnections => Self::LeastConnections(Arc::new(Sequence::new(weights))),
            Strategy::P2c => Self::P2c(Arc::new(Weights::new(weights))),
            Strategy::Random | Strategy::ConsistentHash => Self::Random(Arc::new(Weights::new(weights))),
        }
    }

    /// Chooses an acceptable candidate; `None` only if there is none.
    pub fn pick(
        &self,
        cursor: &Cursor,
        client: u64,
        random: u64,
        candidates: &Candidates<impl Fn(usize) -> bool, impl Fn(usize) -> u32>,
    ) -> Option<usize> {
        match self {
            Self::RoundRobin(sequence) => round_robin::pick(sequence, cursor, candidates),
            Self::LeastConnections(sequence) => least_connections::pick(sequence, cursor, candidates),
            Self::P2c(weights) => p2c::pick(weights, random, candidates),
            Self::Random(weights) => random::pick(weights, random, candidates),
            Self::ConsistentHash(ring) => ring.pick(client, candidates),
        }
    }
}
