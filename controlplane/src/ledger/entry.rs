//! The account of one client that is not free.
//!
//! `total` is never less than all tokens of the client that exist anywhere but at data planes that were lost: those the
//! ledger has, those that holders may hold, and the standing shares that data planes may still believe in. Tokens leave
//! it when they are reported spent or can never be reported any more. It grows at the client's rate, up to its capacity.
//! Above its capacity it is only where the limit became less while more was held: that is spent first.
//!
//! There are as many of these as clients in use: every byte counts.

use std::time::Duration;

use super::{
    holder::{Holder, Holders},
    member::MemberId,
    message::Client,
};

/// What rounding may add up to.
pub(super) const EPSILON: f64 = 1e-9;

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The client's limit.
    pub(super) capacity: f64,
    pub(super) rate_per_sec: f64,
    /// Configuration revision it is from.
    revision: u64,
    /// See above, at `at_ns`. While somebody holds the whole bucket: its capacity.
    pub(super) total: f64,
    at_ns: u64,
    pub(super) holders: Holders,
    /// Data planes that have not acknowledged this change of the marks may believe in their standing share.
    pub(super) mark: u64,
    /// Tokens that it would have had, had it been known that the client was free when the account was opened.
    pub(super) withheld: f64,
    /// Number of the newest of the ledger's events that it has been told.
    pub(super) told: u32,
    /// It was replayed to a ledger that had forgotten it: a standing share that nobody replayed was spent.
    pub(super) replayed: bool,
}

impl Entry {
    /// An account with this many tokens in existence. Events up to `told` are not its business.
    pub(super) fn new(client: Client, total: f64, mark: u64, told: u32, now: Duration) -> Self {
        Self {
            capacity: client.capacity,
            rate_per_sec: client.rate_per_sec,
            revision: client.revision,
            total,
            at_ns: nanos(now),
            holders: Holders::default(),
            mark,
            withheld: 0.0,
            told,
            replayed: false,
        }
    }

    /// Whose it is.
    pub(super) fn client(&self, key: u64) -> Client {
        Client { key, capacity: self.capacity, rate_per_sec: self.rate_per_sec, revision: self.revision }
    }

    /// Brings `total` up to `now`. `factor`: the part of the limit that is not set aside.
    pub(super) fn settle(&mut self, factor: f64, now: Duration) {
        let (capacity, now_ns) = (factor * self.capacity, nanos(now));
        if self.is_whole() {
            self.total = capacity;
        } else {
            let gained = now_ns.saturating_sub(self.at_ns) as f64 / 1e9 * self.rate_per_sec * factor;
            self.total = (self.total + gained).min(capacity.max(self.total));
            self.cut(factor);
        }
        self.at_ns = self.at_ns.max(now_ns);
    }

    /// More than the capacity there is only of what is held: it stays in `total` until it is reported spent.
    fn cut(&mut self, factor: f64) {
        self.total = self.total.min((factor * self.capacity).max(self.held()));
    }

    /// Takes over a newer limit. Call [`Self::settle`] first.
    pub(super) fn retune(&mut self, client: Client, factor: f64) {
        if client.revision > self.revision {
            (self.capacity, self.rate_per_sec, self.revision) = (client.capacity, client.rate_per_sec, client.revision);
            self.cut(factor);
        }
    }

    /// Somebody holds the whole bucket.
    pub(super) fn is_whole(&self) -> bool {
        self.holders.iter().any(|holder| holder.whole)
    }

    /// Nobody else holds or wants anything of it.
    pub(super) fn is_used_by(&self, member: MemberId) -> bool {
        self.holders.iter().all(|holder| holder.member == member || holder.only_remembers())
    }

    /// Somebody asks for it there.
    pub(super) fn is_asked_for_at(&self, member: MemberId) -> bool {
        self.holders.iter().any(|holder| holder.member == member && !holder.idle)
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
        self.holders.push(Holder::new(member, upper))
    }

    /// A holder of a part says that it has `tokens`, having applied the responses up to `acked`; what is missing was
    /// spent, but for `returned`.
    pub(super) fn account(&mut self, member: MemberId, acked: u64, factor: f64, tokens: f64, returned: f64) {
        let Some(holder) = self.holder(member).filter(|holder| !holder.whole) else { return };
        let before = holder.upper;
        holder.in_flight.forget(acked);
        // It cannot have more than it was given.
        holder.upper = (tokens.max(0.0) + holder.in_flight.tokens_beyond(acked)).min(before);
        let gone = before - holder.upper;
        self.total -= gone - returned.clamp(0.0, gone);
        self.cut(factor);
    }

    /// The holder of the whole bucket gave it up: `tokens` came back, `kept` stayed with it.
    pub(super) fn break_up(&mut self, member: MemberId, factor: f64, tokens: f64, kept: f64, now: Duration) {
        let capacity = factor * self.capacity;
        let Some(holder) = self.holder(member).filter(|holder| holder.whole) else { return };
        let kept = kept.clamp(0.0, capacity);
        *holder = Holder { idle: holder.idle, refused: holder.refused, ..Holder::new(member, kept) };
        self.total = (tokens.max(0.0) + kept).min(capacity);
        self.at_ns = nanos(now);
    }

    /// The holder says goodbye, and has given back what it had when it had applied the responses up to `acked`. What was
    /// sent to it after that it never gets.
    pub(super) fn dismiss(&mut self, member: MemberId, acked: u64, now: Duration) {
        let Some(holder) = self.holder(member) else { return };
        let never_got = holder.in_flight.tokens_beyond(acked);
        self.strike(member, now);
        self.total += never_got;
    }

    /// The holder is gone, and with it what it may have had.
    pub(super) fn strike(&mut self, member: MemberId, now: Duration) {
        let Some(holder) = self.holders.remove(member) else { return };
        if holder.whole {
            (self.total, self.at_ns) = (0.0, nanos(now));
        } else {
            self.total -= holder.upper;
        }
    }

    /// Nobody holds anything of it or wants it.
    pub(super) fn is_unused(&self) -> bool {
        self.holders.iter().all(Holder::only_remembers)
    }

    /// Unused, and the bucket is full. Never while a data plane is lost: what that one spends of what is set aside for it
    /// comes out when it is back.
    pub(super) fn is_free(&self) -> bool {
        self.is_unused() && self.total >= self.capacity - EPSILON
    }
}

/// Seconds as a duration of at most a century.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 3.2e9)).unwrap_or_default()
}

/// Enough for five centuries since the ledger started.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_small() {
        assert!(size_of::<Entry>() <= 104, "{} bytes", size_of::<Entry>());
    }
}
