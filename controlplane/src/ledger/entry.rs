//! The account of one client that is not free.
//!
//! `total` is never less than all tokens of the client that exist anywhere but at data planes that were lost: those the
//! ledger has, those that holders may hold, and the standing shares that data planes may still believe in. Tokens leave
//! it when they are reported spent or can never be reported any more. It grows at the client's rate, up to its capacity.

use std::time::Duration;

use super::{member::MemberId, message::Client};

/// What rounding may add up to.
pub(super) const EPSILON: f64 = 1e-9;

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) client: Client,
    /// Largest capacity the client had while the account stood: what a standing share was counted from at most.
    pub(super) largest: f64,
    /// See above, at `at`. While somebody holds the whole bucket: its capacity.
    pub(super) total: f64,
    pub(super) at: Duration,
    pub(super) holders: Vec<Holder>,
    /// Who waits for an answer, the longest first.
    pub(super) waiting: Vec<Waiter>,
    /// Data planes that have not acknowledged this change of the marks may believe in their standing share.
    pub(super) mark: u64,
    /// It was replayed to a ledger that had forgotten it: a standing share that nobody replayed was spent.
    pub(super) replayed: bool,
    /// Tokens that it would have had, had it been known that the client was free when the account was opened.
    pub(super) withheld: f64,
}

/// A data plane that may hold tokens of the client, or remembers that the bucket is not full.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) member: MemberId,
    /// It refills the bucket itself.
    pub(super) whole: bool,
    /// Most tokens it can have.
    pub(super) upper: f64,
    /// Of these, what was sent in responses it has not acknowledged: (seq, tokens).
    pub(super) in_flight: Vec<(u64, f64)>,
    /// It has been told to give back what it holds.
    pub(super) recalled: bool,
    /// Nobody asks there.
    pub(super) idle: bool,
    /// It was told that there is nothing, for longer than that may be true.
    pub(super) refused: bool,
}

/// An ask without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) member: MemberId,
    pub(super) want: f64,
    pub(super) since: Duration,
}

impl Holder {
    /// Whether it was sent tokens that it does not know of, having applied the responses up to `acked`.
    pub(super) fn is_sent_more_than(&self, acked: u64) -> bool {
        self.in_flight.iter().any(|(seq, _)| *seq > acked)
    }

    /// How many these are.
    pub(super) fn on_its_way(&self, acked: u64) -> f64 {
        self.in_flight.iter().filter(|(seq, _)| *seq > acked).map(|(_, tokens)| tokens).sum()
    }
}

impl Entry {
    /// An account with this many tokens in existence.
    pub(super) fn new(client: Client, total: f64, mark: u64, now: Duration) -> Self {
        Self {
            client,
            largest: client.capacity,
            total,
            at: now,
            holders: Vec::new(),
            waiting: Vec::new(),
            mark,
            replayed: false,
            withheld: 0.0,
        }
    }

    /// Brings `total` up to `now`. `factor`: the part of the limit that is not set aside.
    pub(super) fn settle(&mut self, factor: f64, now: Duration) {
        let capacity = factor * self.client.capacity;
        if self.is_whole() {
            self.total = capacity;
        } else {
            let gained = now.saturating_sub(self.at).as_secs_f64() * self.client.rate_per_sec * factor;
            self.total = (self.total + gained).min(capacity);
        }
        self.at = self.at.max(now);
    }

    /// Takes over a newer limit. Call [`Self::settle`] first.
    pub(super) fn retune(&mut self, client: Client) {
        if client.revision > self.client.revision {
            self.client = client;
            self.largest = self.largest.max(client.capacity);
        }
    }

    /// Somebody holds the whole bucket.
    pub(super) fn is_whole(&self) -> bool {
        self.holders.iter().any(|holder| holder.whole)
    }

    /// Nobody else holds or wants anything of it.
    pub(super) fn is_used_by(&self, member: MemberId) -> bool {
        self.holders.iter().all(|h| h.member == member || (h.idle && h.upper <= EPSILON && !h.whole))
    }

    /// Tokens that holders may have.
    pub(super) fn held(&self) -> f64 {
        self.holders.iter().map(|holder| holder.upper).sum()
    }

    pub(super) fn holder(&mut self, member: MemberId) -> Option<&mut Holder> {
        self.holders.iter_mut().find(|holder| holder.member == member)
    }

    pub(super) fn has_holder(&self, member: MemberId) -> bool {
        self.holders.iter().any(|holder| holder.member == member)
    }

    /// Adds a holder of `upper` tokens; they must be in `total` already.
    pub(super) fn add_holder(&mut self, member: MemberId, upper: f64) -> &mut Holder {
        let holder =
            Holder { member, whole: false, upper, in_flight: Vec::new(), recalled: false, idle: false, refused: false };
        self.holders.push(holder);
        let last = self.holders.len() - 1;
        &mut self.holders[last]
    }

    /// A holder of a part says that it has `tokens`, having applied the responses up to `acked`; what is missing was
    /// spent, but for `returned`.
    pub(super) fn account(&mut self, member: MemberId, acked: u64, tokens: f64, returned: f64) {
        let Some(holder) = self.holder(member).filter(|holder| !holder.whole) else { return };
        let before = holder.upper;
        holder.in_flight.retain(|(seq, _)| *seq > acked);
        let in_flight = holder.on_its_way(acked);
        // It cannot have more than it was given.
        holder.upper = (tokens.max(0.0) + in_flight).min(before);
        let gone = before - holder.upper;
        self.total -= gone - returned.clamp(0.0, gone);
    }

    /// The holder of the whole bucket gave it up: `tokens` came back, `kept` stayed with it.
    pub(super) fn break_up(&mut self, member: MemberId, factor: f64, tokens: f64, kept: f64, now: Duration) {
        let capacity = factor * self.client.capacity;
        let Some(holder) = self.holder(member).filter(|holder| holder.whole) else { return };
        let kept = kept.clamp(0.0, capacity);
        (holder.whole, holder.recalled, holder.upper) = (false, false, kept);
        holder.in_flight.clear();
        self.total = (tokens.max(0.0) + kept).min(capacity);
        self.at = now;
    }

    /// The holder says goodbye, and has given back what it had when it had applied the responses up to `acked`. What was
    /// sent to it after that it never gets.
    pub(super) fn dismiss(&mut self, member: MemberId, acked: u64, now: Duration) {
        let Some(holder) = self.holder(member) else { return };
        let never_got = holder.on_its_way(acked);
        self.strike(member, now);
        self.total += never_got;
    }

    /// The holder is gone, and with it what it may have had.
    pub(super) fn strike(&mut self, member: MemberId, now: Duration) {
        let Some(index) = self.holders.iter().position(|holder| holder.member == member) else { return };
        let holder = self.holders.swap_remove(index);
        if holder.whole {
            (self.total, self.at) = (0.0, now);
        } else {
            self.total -= holder.upper;
        }
        self.waiting.retain(|waiter| waiter.member != member);
    }

    /// Nobody holds anything of it, and the bucket is full. Never while a data plane is lost: what that one spends of
    /// what is set aside for it comes out when it is back.
    pub(super) fn is_free(&self) -> bool {
        let held = self.holders.iter().any(|holder| holder.whole || holder.upper > EPSILON || !holder.idle);
        !held && self.waiting.is_empty() && self.total >= self.client.capacity - EPSILON
    }

    /// When it will be full, if nobody spends anything; `None`: never.
    pub(super) fn full_at(&self) -> Option<Duration> {
        let missing = (self.client.capacity - self.total).max(0.0);
        if missing <= EPSILON {
            return Some(self.at);
        }
        (self.client.rate_per_sec > 0.0).then(|| self.at + seconds(missing / self.client.rate_per_sec))
    }
}

/// Seconds as a duration of at most a century.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 3.2e9)).unwrap_or_default()
}
