//! The backends, and which of them takes a request.

mod judge;
mod outlier;
mod queue;
mod rules;
mod scheme;
mod slow_start;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::uri::Authority;

use self::judge::Court;
pub use self::{
    judge::Verdict,
    outlier::{OutlierRules, Reason, ServerErrors},
    queue::Queue,
    rules::PoolRules,
    scheme::Scheme,
    state::{BackendState, InFlight},
};
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
    /// How it is spoken to.
    pub scheme: Scheme,
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

impl Backend {
    /// As it is configured: `scheme://host:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority)
    }
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

/// What is asked of a pool for one request.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// [`crate::client::Client::stable_hash`].
    pub client: u64,
    /// Uniform.
    pub random: u64,
    /// The time.
    pub now: Nanos,
    /// Ids of backends that the request was sent to in vain.
    pub tried: &'a [u64],
    /// What holds for all backends.
    pub rules: &'a PoolRules,
}

/// Why no backend was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There is none that may take the request and was not tried.
    Nobody,
    /// All that may take it have as many in flight as they may.
    Busy,
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
    /// Kept from pool to pool too.
    court: Arc<Court>,
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
        let court = previous.map(|pool| pool.court.clone()).unwrap_or_default();
        Self { strategy, backends: backends.into(), candidates, balance, cursor, court }
    }

    /// All backends, also those that take no requests.
    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// How backends are chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Chooses a backend for a request.
    ///
    /// Backends that are ejected are avoided, but if nothing else is left one of them is chosen: our own judgement must
    /// not black out what may be up.
    pub fn pick(&self, ask: &Ask<'_>) -> Result<&Arc<Backend>, NoPick> {
        let bounded = ask.rules.max_in_flight > 0;
        let untried = |backend: &Backend| !ask.tried.contains(&backend.id);
        let good = |backend: &Backend| untried(backend) && !self.is_avoided(backend, ask.now);
        let has_room = |backend: &Backend| !bounded || backend.state.in_flight() < ask.rules.max_in_flight;
        let mut picked =
            self.pick_where(ask, |backend| good(backend) && has_room(backend) && self.takes_part(backend, ask));
        if picked.is_none() && is_slow(ask) {
            picked = self.pick_where(ask, |backend| good(backend) && has_room(backend));
        }
        if let Some(backend) = picked {
            return Ok(backend);
        }
        let any = |accept: &dyn Fn(&Backend) -> bool| self.candidates.iter().any(|backend| accept(backend));
        if bounded && any(&good) {
            // Room with a good one is worth waiting for.
            return Err(NoPick::Busy);
        }
        let last_resort = self.pick_where(ask, |backend| untried(backend) && has_room(backend));
        last_resort.ok_or_else(|| if bounded && any(&untried) { NoPick::Busy } else { NoPick::Nobody })
    }

    /// How many more requests could be in flight, if that is bounded.
    pub fn room(&self, now: Nanos, rules: &PoolRules) -> usize {
        let good = self.candidates.iter().filter(|backend| !self.is_avoided(backend, now));
        good.map(|backend| rules.max_in_flight.saturating_sub(backend.state.in_flight()) as usize).sum()
    }

    /// Whether new requests go to `backend`, as long as there is another.
    pub fn takes_requests(&self, backend: &Backend, now: Nanos) -> bool {
        may_take(backend) && !self.is_avoided(backend, now)
    }

    fn is_avoided(&self, backend: &Backend, now: Nanos) -> bool {
        backend.state.ejected(now).is_some_and(|reason| !(reason.is_judgement() && self.court.is_panic()))
    }

    /// Whether a backend with a small share is to be asked this time. Strategies that go by load see its share in that.
    fn takes_part(&self, backend: &Backend, ask: &Ask<'_>) -> bool {
        if !is_slow(ask) {
            return true;
        }
        let choice = match self.strategy {
            Strategy::LeastConnections | Strategy::P2c => return true,
            Strategy::RoundRobin | Strategy::Random => ask.random,
            Strategy::ConsistentHash => ask.client,
        };
        slow_start::takes_part(choice, backend.id, share(backend, ask))
    }

    fn pick_where(&self, ask: &Ask<'_>, accept: impl Fn(&Backend) -> bool) -> Option<&Arc<Backend>> {
        let candidates = Candidates {
            count: self.candidates.len(),
            accept: |index: usize| accept(&self.candidates[index]),
            load: |index: usize| load(&self.candidates[index], ask),
        };
        let index = self.balance.pick(&self.cursor, ask.client, ask.random, &candidates)?;
        self.candidates.get(index)
    }
}

fn is_slow(ask: &Ask<'_>) -> bool {
    ask.rules.slow_start_ns > 0
}

fn share(backend: &Backend, ask: &Ask<'_>) -> u32 {
    backend.state.share(ask.now, ask.rules.slow_start_ns)
}

fn load(backend: &Backend, ask: &Ask<'_>) -> u32 {
    let in_flight = backend.state.in_flight();
    if is_slow(ask) { slow_start::scaled_load(in_flight, share(backend, ask)) } else { in_flight }
}

fn may_take(backend: &Backend) -> bool {
    !backend.draining && backend.health != Health::Unhealthy
}

/// Two backends at one address must not be each other's shadow. Those without TLS have the names they always had.
fn ring_name(backend: &Backend) -> Box<str> {
    match backend.scheme {
        Scheme::Http => backend.authority.as_str().into(),
        Scheme::Https | Scheme::H2c => backend.url().into(),
    }
}

/// The ring holds unhealthy backends too, so that one that fails moves its own clients only, and gets them back.
fn ring(backends: &[Arc<Backend>], previous: Option<&Pool>) -> Ring {
    let mut candidates = 0..;
    let members = backends
        .iter()
        .filter(|backend| !backend.draining)
        .map(|backend| Member {
            name: ring_name(backend),
            weight: backend.weight,
            candidate: if may_take(backend) { candidates.next() } else { None },
        })
        .collect();
    match previous.map(|pool| &pool.balance) {
        Some(Balance::ConsistentHash(ring)) => ring.successor(members),
        _ => Ring::new(members),
    }
}
