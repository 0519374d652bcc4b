//! The backends, and which of them takes a request.

mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::uri::Authority;

pub use self::state::{BackendState, InFlight};
use crate::{
    balance::{Balance, Candidates, Member, Ring},
    clock::Nanos,
};

/// What active health checks say of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing (yet); takes requests.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It takes no requests.
    Unhealthy,
}

/// A backend as one snapshot knows it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Given by the control plane; stable.
    pub id: u64,
    /// `host:port`.
    pub authority: Authority,
    /// Share of requests relative to the others, at least 1.
    pub weight: u32,
    /// Takes no new requests.
    pub draining: bool,
    /// What active checks say.
    pub health: Health,
    /// What outlives the snapshot.
    pub state: Arc<BackendState>,
}

/// How the backend of a request is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight per weight.
    LeastConnections,
    /// The less loaded of two chosen at random.
    P2c,
    /// Weighted random.
    Random,
    /// By client, on a hash ring.
    ConsistentHash,
}

/// The backends of one snapshot. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    strategy: Strategy,
    backends: Arc<[Arc<Backend>]>,
    /// Those that may take requests: neither draining nor unhealthy.
    candidates: Arc<[Arc<Backend>]>,
    balance: Balance,
    /// Kept from pool to pool, so that a new snapshot does not send everybody to the first backend again.
    cursor: Arc<crate::balance::Cursor>,
}

impl Pool {
    /// A pool of `backends`. Keeps the turn of `previous`, and its hash ring if that would come out the same.
    pub fn new(strategy: Strategy, backends: Vec<Arc<Backend>>, previous: Option<&Self>) -> Self {
        let candidates: Arc<[_]> = backends.iter().filter(|backend| may_take(backend)).cloned().collect();
        let balance = match strategy {
            Strategy::ConsistentHash => Balance::ConsistentHash(ring(&backends, previous)),
            _ => Balance::by_weight(strategy, &candidates.iter().map(|backend| backend.weight).collect::<Vec<_>>()),
        };
        let cursor = previous.map(|pool| pool.cursor.clone()).unwrap_or_default();
        Self { strategy, backends: backends.into(), candidates, balance, cursor }
    }

    /// All backends, also those that take no requests.
    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// How backends are chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Chooses a backend for a request. `None`: there is none that may take it and was not `tried`.
    ///
    /// `client` is [`crate::client::Client::stable_hash`]; `random` is uniform. Backends that are ejected are avoided,
    /// but if nothing else is left one of them is chosen: our own connect failures must not black out what may be up.
    pub fn pick(&self, client: u64, random: u64, now: Nanos, tried: &[u64]) -> Option<&Arc<Backend>> {
        let untried = |backend: &Backend| !tried.contains(&backend.id);
        self.pick_where(client, random, |backend| untried(backend) && !backend.state.is_ejected(now))
            .or_else(|| self.pick_where(client, random, untried))
    }

    fn pick_where(&self, client: u64, random: u64, accept: impl Fn(&Backend) -> bool) -> Option<&Arc<Backend>> {
        let candidates = Candidates {
            count: self.candidates.len(),
            accept: |index: usize| accept(&self.candidates[index]),
            load: |index: usize| self.candidates[index].state.in_flight(),
        };
        let index = self.balance.pick(&self.cursor, client, random, &candidates)?;
        self.candidates.get(index)
    }
}

fn may_take(backend: &Backend) -> bool {
    !backend.draining && backend.health != Health::Unhealthy
}

/// The ring holds unhealthy backends too, so that one that fails moves its own clients only, and gets them back.
fn ring(backends: &[Arc<Backend>], previous: Option<&Pool>) -> Ring {
    let mut candidates = 0..;
    let members = backends
        .iter()
        .filter(|backend| !backend.draining)
        .map(|backend| Member {
            name: backend.authority.clone(),
            weight: backend.weight,
            candidate: if may_take(backend) { candidates.next() } else { None },
        })
        .collect();
    match previous.map(|pool| &pool.balance) {
        Some(Balance::ConsistentHash(ring)) => ring.successor(members),
        _ => Ring::new(members),
    }
}
