//! What is known here of one client that is not free.

use super::{
    Signal,
    forgotten::Forgotten,
    message::{Ask, Holding, LeaseClient},
};
use crate::{
    clock::Nanos,
    limit::Limit,
    limiter::{BucketTable, LimitKind, Mode},
};

/// A batch that lasted less than this was too small.
const SHORT_NS: u64 = 100_000_000;
/// One that lasted longer than this was too large.
const LONG_NS: u64 = 1_000_000_000;

/// A client that is not free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) client: LeaseClient,
    /// Its bucket here; `None` while no request has come for it.
    bucket: Option<(u64, LimitKind)>,
    /// Tokens of the standing share it began with here, until a ledger has answered for it.
    first: f64,
    /// A ledger has answered for it.
    pub(super) known: bool,
    /// The whole bucket is held here.
    pub(super) whole: bool,
    /// An ask has not been answered.
    pub(super) asked: Option<Nanos>,
    /// The ledger knows that nobody asks here.
    pub(super) idle: bool,
    /// Until then there are no tokens.
    pub(super) dry_until: Option<Nanos>,
    /// When to look at it next.
    pub(super) due: Option<Nanos>,
    /// The bucket's time when it was last changed from here: a later one is a request's.
    pub(super) touched: Nanos,
    /// When a request last took a token, as far as is known.
    pub(super) used: Nanos,
    want: f64,
    granted_at: Nanos,
}

/// Where a client's tokens are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) bucket: u64,
    pub(super) kind: LimitKind,
    pub(super) limit: Limit,
}

impl Record {
    /// Of a client that a request has come for.
    pub(super) fn new(signal: &Signal) -> Self {
        let record = Self::remembered(signal.client);
        Self { bucket: Some((signal.bucket, signal.kind)), first: signal.first.unwrap_or(0.0), known: false, ..record }
    }

    /// Of a client that the ledger wants remembered.
    pub(super) fn remembered(client: LeaseClient) -> Self {
        Self {
            client,
            bucket: None,
            first: 0.0,
            known: true,
            whole: false,
            asked: None,
            idle: true,
            dry_until: None,
            due: None,
            touched: Nanos(0),
            used: Nanos(0),
            want: 1.0,
            granted_at: Nanos(0),
        }
    }

    /// The same, had it been forgotten: what it had then of the standing share counts as spent.
    pub(super) fn remembering(self, forgotten: &Forgotten) -> Self {
        Self { first: self.client.limit.capacity(), known: forgotten.known, ..self }
    }

    /// Its bucket had to give way, and a new one begins with so much of the standing share, which was given before.
    pub(super) fn begins_again(&mut self, tokens: f64) {
        self.first += tokens;
    }

    /// Takes over what the request path knows.
    pub(super) fn adopt(&mut self, signal: &Signal) {
        self.retune(signal.client);
        self.bucket = Some((signal.bucket, signal.kind));
    }

    /// Takes over the client's limit, unless it is older.
    pub(super) fn retune(&mut self, client: LeaseClient) {
        if client.revision >= self.client.revision {
            self.client = client;
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.bucket.map(|(bucket, kind)| Place { bucket, kind, limit: self.client.limit })
    }

    /// Tokens here, and whether they are refilled here.
    fn tokens(&self, table: &BucketTable, now: Nanos) -> (f64, bool) {
        let content = self.place().and_then(|place| table.content(place.bucket, &place.limit, place.kind, now));
        content.map_or((0.0, false), |content| (content.tokens.max(0.0), content.mode.is_whole()))
    }

    /// Tokens here, where some go back: from then on the ledger refills.
    pub(super) fn kept(&mut self, table: &BucketTable, now: Nanos) -> f64 {
        let Some(place) = self.place() else { return 0.0 };
        if self.whole {
            self.whole = false;
            self.touched = table.deposit(place.bucket, &place.limit, place.kind, 0.0, Mode::Part, now).at;
        }
        self.tokens(table, now).0
    }

    pub(super) fn ask(&mut self, table: &BucketTable, now: Nanos) -> Ask {
        let (tokens, _) = self.tokens(table, now);
        let spent = if self.known { 0.0 } else { (self.first - tokens).max(0.0) };
        let lasted = now.since(self.granted_at);
        let most = (self.client.limit.capacity() / 2.0).max(1.0);
        if lasted < SHORT_NS {
            self.want = (self.want * 2.0).min(most);
        } else if lasted > LONG_NS {
            self.want = (self.want / 2.0).max(1.0);
        }
        Ask { client: self.client, spent, tokens, want: self.want.min(most) }
    }

    /// Settles what is held and says it.
    pub(super) fn holding(&mut self, table: &BucketTable, now: Nanos) -> Holding {
        let (tokens, whole) = match self.place().filter(|_| self.tokens_are_here(table, now)) {
            Some(place) => {
                let content = table.content(place.bucket, &place.limit, place.kind, now);
                let mode = content.map_or(Mode::Part, |content| content.mode);
                let mode = if matches!(mode, Mode::Low | Mode::Dry) { Mode::Part } else { mode };
                let settled = table.deposit(place.bucket, &place.limit, place.kind, 0.0, mode, now);
                self.touched = settled.at;
                (settled.tokens.max(0.0), mode.is_whole())
            }
            None => (0.0, false),
        };
        self.whole = whole;
        Holding { client: self.client, tokens, whole, known: self.known }
    }

    fn tokens_are_here(&self, table: &BucketTable, now: Nanos) -> bool {
        self.place().is_some_and(|place| table.content(place.bucket, &place.limit, place.kind, now).is_some())
    }

    /// The ledger has answered.
    pub(super) fn answered(&mut self, now: Nanos, granted: bool) {
        (self.known, self.asked) = (true, None);
        if granted {
            (self.granted_at, self.idle) = (now, false);
        }
    }
}
