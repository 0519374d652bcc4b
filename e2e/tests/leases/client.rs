//! A client, and what one bucket for all data planes would say.

use dataplane::limit::Limit;

/// How long after the last data plane heard of a limit something said before that may be on its way.
const AFTERWARDS_NS: u64 = 200_000_000;

/// What a configuration says of a client.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Known {
    pub(crate) key: u64,
    pub(crate) limit: Limit,
    pub(crate) revision: u64,
}

/// A client.
pub(crate) struct Client {
    /// What the newest configuration says.
    pub(crate) known: Known,
    /// While not all know of a changed limit: the most that any of them may go by, and when they all knew.
    change: Option<Change>,
    /// What one bucket for all would hold.
    tokens: f64,
    at_ns: u64,
    pub(crate) admitted: u64,
}

struct Change {
    capacity: f64,
    rate_per_sec: f64,
    all_knew_ns: Option<u64>,
}

impl Client {
    pub(crate) fn new(number: u64, capacity: f64, rate_per_sec: f64) -> Self {
        let key = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let known = Known { key, limit: Limit::new(capacity, rate_per_sec).unwrap(), revision: 1 };
        Self { known, change: None, tokens: capacity, at_ns: 0, admitted: 0 }
    }

    pub(crate) fn limit(&self) -> Limit {
        self.known.limit
    }

    /// A request was admitted somewhere: in every window at most capacity + rate x window may be.
    pub(crate) fn admit(&mut self, now_ns: u64) {
        self.refill(now_ns);
        self.tokens -= 1.0;
        self.admitted += 1;
    }

    /// Tokens admitted beyond what one bucket would have.
    pub(crate) fn excess(&self) -> f64 {
        -self.tokens
    }

    fn refill(&mut self, now_ns: u64) {
        let limit = self.limit();
        let (capacity, rate) = self
            .change
            .as_ref()
            .map_or((limit.capacity(), limit.rate_per_sec()), |change| (change.capacity, change.rate_per_sec));
        let gained = (now_ns - self.at_ns) as f64 / 1e9 * rate;
        // More than the capacity there may be, of before a change; but it does not grow.
        self.tokens = (self.tokens + gained).min(capacity.max(self.tokens));
        self.at_ns = now_ns;
    }

    /// Another limit. A window counts from here: whatever was admitted before, the bucket may be full of either.
    pub(crate) fn change(&mut self, limit: Limit, now_ns: u64) {
        self.refill(now_ns);
        let (before, old) = (self.change.take(), self.limit());
        let wider = |now: f64, old: f64, before: Option<f64>| now.max(old).max(before.unwrap_or(0.0));
        let capacity = wider(limit.capacity(), old.capacity(), before.as_ref().map(|change| change.capacity));
        let rate_per_sec =
            wider(limit.rate_per_sec(), old.rate_per_sec(), before.as_ref().map(|change| change.rate_per_sec));
        self.tokens = self.tokens.max(capacity);
        self.change = Some(Change { capacity, rate_per_sec, all_knew_ns: None });
        self.known = Known { limit, revision: self.known.revision + 1, ..self.known };
    }

    /// Once all of so many data planes go by the new limit, each has at most its capacity of what it held under the old
    /// one, and the ledger no more than that.
    pub(crate) fn settle(&mut self, all_know: bool, data_planes: usize, now_ns: u64) {
        let Some(change) = &mut self.change else { return };
        change.all_knew_ns = all_know.then(|| change.all_knew_ns.unwrap_or(now_ns));
        if change.all_knew_ns.is_some_and(|at| now_ns >= at + AFTERWARDS_NS) {
            self.refill(now_ns);
            self.change = None;
            self.tokens = self.tokens.min((data_planes + 1) as f64 * self.limit().capacity());
        }
    }
}
