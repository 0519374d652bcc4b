//! This data plane's side of limits that hold for all data planes together: what it holds, asks for and gives back.
//!
//! The tokens themselves are in the bucket table, where the request path takes them; here is what is known about them.
//! The protocol, and why it is right, is in docs/adr/0001-limits-across-data-planes.md.
//!
//! Pure: messages, signals of the request path and the time in, messages out.

mod forgotten;
mod grants;
mod joining;
mod limits;
mod marks;
pub mod message;
mod record;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use self::{
    forgotten::Forgotten,
    message::{Ask, LeaseClient, Request, Return},
    record::Record,
    stream::Stream,
};
pub use self::{limits::NewLimit, marks::MarkBits};
use crate::{
    clock::Nanos,
    limiter::{BucketTable, Content, LimitKind, Mode, Terms},
};

/// Without a request for so long, tokens go back.
const IDLE_NS: u64 = 1_000_000_000;
/// A whole bucket stays longer: to have it costs nobody anything, and to ask for it again a round trip.
const WHOLE_IDLE_NS: u64 = 30_000_000_000;
/// How long a request waits for the ledger before the standing share decides.
pub const PATIENCE_NS: u64 = 20_000_000;
/// Most asks, and most returns, of one request: their bytes are then far below what gRPC lets a message have.
const MAX_PER_REQUEST: usize = 20_000;
/// How long a client without tokens is refused at once while the ledger is silent.
const SILENT_RETRY_NS: u64 = 100_000_000;
/// So many looks may be noted that do not count any more, and some for each client.
const DUE_AT_LEAST: usize = 1024;
/// What clocks may differ by over a lease, and more.
const MARGIN_NS: u64 = 500_000_000;
/// What a lease lasts until the ledger says it, and how long its first word is waited for.
const LEASE_NS: u64 = 2_000_000_000;
const RENEW_NS: u64 = 400_000_000;
const WELCOME_WITHIN_NS: u64 = 5_000_000_000;

/// What the request path has to say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Whose tokens.
    pub client: LeaseClient,
    /// Key of its bucket in this process.
    pub bucket: u64,
    /// Kind of its bucket.
    pub kind: LimitKind,
    /// Tokens of the standing share its bucket began with, if it is new.
    pub first: Option<f64>,
}

/// What a data plane knows of itself from before a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Saved {
    /// Its standing share of every limit, 0 to 1.
    pub share: f64,
    /// It went by that share unheard by any ledger: what clients had of it may be used up.
    pub spent: bool,
}

/// Why a stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message is missing, or comes twice.
    #[error("a message of the ledger is not the one that was due")]
    OutOfOrder,
    /// The ledger says nothing.
    #[error("the ledger does not answer")]
    Silent,
}

/// See the module.
#[derive(Debug)]
pub struct Lease {
    replica_id: String,
    incarnation: u64,
    epoch: u64,
    lease_ns: u64,
    renew_ns: u64,
    marks: Arc<MarkBits>,
    records: BTreeMap<u64, Record>,
    /// How many there may be.
    most: usize,
    /// When to look at a record; only what the record says too counts.
    due: BinaryHeap<Reverse<(Nanos, u64)>>,
    /// Clients to ask for.
    asks: BTreeSet<u64>,
    /// What goes back with the next request. Here and not with the ledger yet: see [`Self::next_returns`].
    returns: BTreeMap<u64, Return>,
    /// Clients of which nothing is left here, until the ledger has heard that.
    forgotten: BTreeMap<u64, Forgotten>,
    /// Marks have been set that are not of a ledger.
    marks_unsure: bool,
    stream: Option<Stream>,
    /// Since when nobody else refills, but for a stream that is being opened.
    alone_from: Nanos,
    /// The standing share of before a restart, until it is used or a ledger has said another.
    saved_share: Option<f64>,
    tallies: Tallies,
}

/// What has been done, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Asks sent.
    pub asks: u64,
    /// Grants of tokens received.
    pub grants: u64,
    /// "None before" received.
    pub refusals: u64,
    /// Recalls received.
    pub recalls: u64,
    /// Returns sent.
    pub returns: u64,
}

impl Lease {
    /// A data plane that holds nothing. Should no ledger answer, it goes by the standing share it had before a restart, see
    /// [`Self::alone`]; if that may be spent, nobody counts as free until a ledger says who is: buckets begin empty, and the
    /// share refills them. It remembers as many clients as the table has room for.
    pub fn new(
        replica_id: String,
        incarnation: u64,
        saved: Saved,
        marks: Arc<MarkBits>,
        table: &BucketTable,
        now: Nanos,
    ) -> Self {
        let alone_from = now.plus(LEASE_NS + MARGIN_NS);
        table.set_terms(Terms { alone_from, ..Terms::NONE });
        if saved.spent {
            marks.set_all();
        }
        Self {
            replica_id,
            incarnation,
            epoch: 0,
            lease_ns: LEASE_NS,
            renew_ns: RENEW_NS,
            marks,
            records: BTreeMap::new(),
            most: table.max_clients(),
            due: BinaryHeap::new(),
            asks: BTreeSet::new(),
            returns: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            marks_unsure: saved.spent,
            stream: None,
            alone_from,
            saved_share: Some(saved.share),
            tallies: Tallies::default(),
        }
    }

    /// Another data plane has the name of this one, and with it the share: this one takes another and has none. To be said
    /// between two streams.
    pub fn rename(&mut self, replica_id: String, table: &BucketTable) {
        (self.replica_id, self.saved_share) = (replica_id, None);
        table.set_terms(Terms { share: 0.0, ..table.terms() });
    }

    /// What has been done so far.
    pub fn tallies(&self) -> Tallies {
        self.tallies
    }

    /// Clients known not to be free.
    pub fn clients(&self) -> usize {
        self.records.len()
    }

    /// Clients whose whole bucket is held.
    pub fn whole(&self) -> usize {
        self.records.values().filter(|record| record.whole).count()
    }

    /// The epoch of the ledger last spoken to; 0: none.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the ledger has said that it knows this data plane, on this stream.
    pub fn is_welcome(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.welcome)
    }

    /// The request path wants tokens. True: there is no use in waiting for them.
    pub fn heard(&mut self, signal: &Signal, table: &BucketTable, now: Nanos) -> bool {
        let key = signal.client.key;
        if self.records.len() >= self.most && !self.records.contains_key(&key) {
            self.make_room(table, now);
        }
        match signal.first {
            Some(tokens) if self.records.contains_key(&key) => self.begins_again(key, tokens, table, now),
            _ => {}
        }
        let forgotten = if self.records.contains_key(&key) { None } else { self.forgotten.remove(&key) };
        let new = || forgotten.iter().fold(Record::new(signal), Record::remembering);
        let record = self.records.entry(key).or_insert_with(new);
        record.adopt(signal);
        record.used = now;
        self.look(key, now.plus(IDLE_NS));
        if self.is_welcome() {
            self.ask(key, now);
            return false;
        }
        self.refuse_for_now(key, table, now);
        true
    }

    /// A client that is remembered has a new bucket, with tokens of the standing share: the one before had to give way.
    fn begins_again(&mut self, key: u64, tokens: f64, table: &BucketTable, now: Nanos) {
        let Some(record) = self.records.get_mut(&key) else { return };
        if record.whole {
            self.bucket_is_gone(key, false);
        } else if let Some(place) = record.place().filter(|_| !record.known) {
            // It had its share.
            record.begins_again(tokens);
            record.touched = table.withdraw(place.bucket, &place.limit, place.kind, |_| 0.0, now).1.at;
        }
    }

    /// There is no ledger to be reached: until there is, the standing share of before the restart holds. To be said when
    /// no control plane answers; without being said it holds after the time of a lease.
    pub fn alone(&mut self, table: &BucketTable) {
        if let Some(share) = self.saved_share.take() {
            table.set_terms(Terms { share, ..table.terms() });
        }
    }

    fn ask(&mut self, key: u64, now: Nanos) {
        let Some(record) = self.records.get_mut(&key) else { return };
        record.idle = false;
        if record.asked.is_none() {
            record.asked = Some(now);
            self.asks.insert(key);
            self.look(key, now.plus(PATIENCE_NS));
        }
    }

    /// There is nobody to ask: the standing share decides, and what it does not have is refused at once for a while.
    fn refuse_for_now(&mut self, key: u64, table: &BucketTable, now: Nanos) {
        let Some((record, place)) = self.records.get_mut(&key).and_then(|r| r.place().map(|place| (r, place))) else {
            return;
        };
        table.give_up(place.bucket, place.kind);
        if table.content(place.bucket, &place.limit, place.kind, now).is_some_and(|content| !content.mode.is_whole()) {
            record.touched = table.deposit(place.bucket, &place.limit, place.kind, 0.0, Mode::Dry, now).at;
            record.dry_until = Some(now.plus(SILENT_RETRY_NS));
            self.look(key, now.plus(SILENT_RETRY_NS));
        }
    }

    /// Does what is due. Call it every few milliseconds. Returns the clients that wait in vain.
    pub fn tick(&mut self, table: &BucketTable, now: Nanos) -> Result<Vec<u64>, Fault> {
        if self.stream.as_ref().is_some_and(|stream| stream.is_silent(now, self.lease_ns, WELCOME_WITHIN_NS)) {
            return Err(Fault::Silent);
        }
        if now > self.alone_from && self.stream.is_none() {
            self.alone(table);
        }
        let mut in_vain = Vec::new();
        while let Some(Reverse((_, key))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            let is_due = |record: &mut Record| record.due.take_if(|at| *at <= now).is_some();
            if self.records.get_mut(&key).is_some_and(is_due) && self.look_at(key, table, now) {
                in_vain.push(key);
            }
        }
        Ok(in_vain)
    }

    /// Looks at a record that is due. True: whoever waits for it waits in vain.
    fn look_at(&mut self, key: u64, table: &BucketTable, now: Nanos) -> bool {
        let Some((record, place)) = self.records.get_mut(&key).and_then(|r| r.place().map(|place| (r, place))) else {
            return false;
        };
        let Some(content) = table.content(place.bucket, &place.limit, place.kind, now) else {
            self.bucket_is_gone(key, true);
            return false;
        };
        if content.at > record.touched {
            record.used = content.at;
        }
        if content.mode == Mode::Wanted {
            record.used = now;
            record.touched = table.deposit(place.bucket, &place.limit, place.kind, 0.0, Mode::Whole, now).at;
        }
        let unanswered = record.asked.is_some_and(|asked| asked.plus(PATIENCE_NS) <= now);
        match content.mode {
            Mode::Asked | Mode::Low if unanswered => {
                self.refuse_for_now(key, table, now);
                return true;
            }
            Mode::Dry if record.dry_until.is_none_or(|until| until <= now) => {
                record.touched = table.deposit(place.bucket, &place.limit, place.kind, 0.0, Mode::Part, now).at;
                record.dry_until = None;
            }
            _ => {}
        }
        let next = [record.asked.map(|asked| asked.plus(PATIENCE_NS)), record.dry_until];
        next.into_iter().flatten().filter(|at| *at > now).for_each(|at| self.look(key, at));
        self.return_if_idle(key, content, table, now);
        false
    }

    /// To look at a record at a time, or before.
    fn look(&mut self, key: u64, at: Nanos) {
        let Some(record) = self.records.get_mut(&key).filter(|record| record.due.is_none_or(|due| at < due)) else {
            return;
        };
        record.due = Some(at);
        self.due.push(Reverse((at, key)));
        if self.due.len() > 4 * self.records.len() + DUE_AT_LEAST {
            self.due.retain(|Reverse((at, key))| self.records.get(key).is_some_and(|record| record.due == Some(*at)));
        }
    }

    /// A client's bucket had to give way to another's: what was in it is gone.
    fn bucket_is_gone(&mut self, key: u64, idle: bool) {
        let Some(record) = self.records.get_mut(&key).filter(|r| r.known && (r.whole || !r.idle)) else { return };
        (record.whole, record.idle, record.dry_until) = (false, idle, None);
        self.goes_back(key, 0.0, idle);
    }

    /// Gives back what nobody has used for a while: all of a part, and a whole bucket once it is full.
    fn return_if_idle(&mut self, key: u64, content: Content, table: &BucketTable, now: Nanos) {
        let Some(record) = self.records.get(&key) else { return };
        let limit = record.client.limit;
        let missing = table.terms().factor * limit.capacity() - content.tokens;
        let whole = content.mode.is_whole();
        let gives = if whole { missing <= 1e-9 } else { !record.idle && record.asked.is_none() };
        let idle_from = record.used.plus(if whole { WHOLE_IDLE_NS } else { IDLE_NS });
        if idle_from > now {
            self.look(key, idle_from);
        } else if gives {
            self.give_back(key, table, now, |_| 0.0, true);
        } else if whole {
            self.look(key, now.plus(until_full(missing, limit.rate_per_sec())));
        }
    }

    /// Gives tokens of a client back to the ledger, which refills its bucket from now on.
    fn give_back(&mut self, key: u64, table: &BucketTable, now: Nanos, keep: impl Fn(f64) -> f64, idle: bool) {
        let Some(record) = self.records.get_mut(&key) else { return };
        let tokens = record.place().map_or(0.0, |place| {
            let (tokens, left) = table.withdraw(place.bucket, &place.limit, place.kind, keep, now);
            record.touched = left.at;
            tokens
        });
        (record.whole, record.idle, record.dry_until) = (false, idle, None);
        self.goes_back(key, tokens, idle);
        self.look(key, now.plus(IDLE_NS));
    }

    /// Tokens that are here no more, and that the next request gives back.
    fn goes_back(&mut self, key: u64, tokens: f64, idle: bool) {
        let returned = self.returns.entry(key).or_insert(Return { key, tokens: 0.0, kept: 0.0, idle });
        (returned.tokens, returned.idle) = (returned.tokens + tokens, idle);
    }

    /// The next request of the stream, if there is something to say.
    pub fn request(&mut self, table: &BucketTable, now: Nanos) -> Option<Request> {
        let stream = self.stream.as_ref().filter(|stream| stream.welcome)?;
        if self.has_told_all() && !stream.is_due(now, self.renew_ns) {
            return None;
        }
        self.speak(table, now)
    }

    fn has_told_all(&self) -> bool {
        self.asks.is_empty() && self.returns.is_empty()
    }

    /// Says the next of what is to be said, if only that this data plane is there.
    fn speak(&mut self, table: &BucketTable, now: Nanos) -> Option<Request> {
        let returns = self.next_returns(table, now);
        // What went back before an ask is told before it.
        let keys = if self.returns.is_empty() { self.next_asks() } else { BTreeSet::new() };
        let mut ask = |key| match self.records.get_mut(&key) {
            Some(record) => Some(record.ask(table, now)),
            None => self.ask_for_forgotten(key),
        };
        let asks: Vec<Ask> = keys.into_iter().filter_map(&mut ask).collect();
        self.tallies.asks += asks.len() as u64;
        let told_all = self.has_told_all();
        let (seq, acked) = self.stream.as_mut()?.send(told_all, now);
        Some(Request { seq, acked, join: None, asks, returns, leaving: false })
    }

    fn next_asks(&mut self) -> BTreeSet<u64> {
        let later = self.asks.iter().nth(MAX_PER_REQUEST).copied();
        let later = later.map(|key| self.asks.split_off(&key)).unwrap_or_default();
        std::mem::replace(&mut self.asks, later)
    }

    /// What goes back, as it is now: what was granted since is kept, and said to be. The request acknowledges that grant.
    fn next_returns(&mut self, table: &BucketTable, now: Nanos) -> Vec<Return> {
        let later = self.returns.keys().nth(MAX_PER_REQUEST).copied();
        let later = later.map(|key| self.returns.split_off(&key)).unwrap_or_default();
        let mut returns: Vec<Return> = std::mem::replace(&mut self.returns, later).into_values().collect();
        for returned in &mut returns {
            let Some(record) = self.records.get_mut(&returned.key) else { continue };
            (returned.kept, returned.idle) = (record.kept(table, now), returned.idle && record.idle);
        }
        self.tallies.returns += returns.len() as u64;
        returns
    }

    /// How long after its last word the ledger has surely written off what is here: nothing is said to it after that.
    pub fn written_off_after(&self) -> Duration {
        Duration::from_nanos(self.lease_ns + MARGIN_NS)
    }

    /// Limits count for this data plane alone from now on: nothing that is here of clients means anything any more.
    pub fn abandon(self, table: &BucketTable) {
        self.records.values().filter_map(Record::place).for_each(|place| table.release(place.bucket, place.kind));
    }

    /// When there is something to look at.
    pub fn due_at(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }
}

/// Nanoseconds until so many tokens have been made, at most a minute: then it is seen that a bucket is gone.
fn until_full(missing: f64, rate_per_sec: f64) -> u64 {
    let seconds = if rate_per_sec > 0.0 { (missing / rate_per_sec).clamp(0.01, 60.0) } else { 60.0 };
    (seconds * 1e9) as u64
}
