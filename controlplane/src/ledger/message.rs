//! What data planes and the ledger say to each other. Tokens are in requests.

use std::time::Duration;

/// Whose bucket, and how large it is for the one who says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// Stable hash; the lowest bit tells a limit of the client's own from the default limit.
    pub key: u64,
    /// Tokens the bucket holds.
    pub capacity: f64,
    /// Tokens added per second.
    pub rate_per_sec: f64,
    /// Configuration revision the limit is from.
    pub revision: u64,
}

/// From a data plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Counts the messages of the stream.
    pub seq: u64,
    /// The newest response that was applied.
    pub acked: u64,
    /// Clients it wants tokens for.
    pub asks: Vec<Ask>,
    /// What it holds no longer.
    pub returns: Vec<Return>,
    /// It stops; everything it held is in `returns`.
    pub leaving: bool,
}

/// A data plane enters or comes back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Join {
    /// Stable over restarts with the same state directory.
    pub replica_id: String,
    /// Random per process.
    pub incarnation: u64,
    /// The epoch of the ledger it last spoke to; 0: none.
    pub epoch: u64,
    /// Its share, as last told.
    pub share: f64,
    /// Everything it holds, and every client it has heard of that is not free.
    pub holdings: Vec<Holding>,
    /// It has set marks of its own: all of them are to be sent.
    pub marks_unsure: bool,
}

impl Join {
    /// A process that knows no ledger and holds nothing counts on nothing.
    pub(super) fn counts_on_something(&self) -> bool {
        self.epoch > 0 || !self.holdings.is_empty()
    }
}

/// What a data plane has of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Whose.
    pub client: Client,
    /// Tokens it has.
    pub tokens: f64,
    /// It refills the bucket itself.
    pub whole: bool,
    /// A ledger has answered for it; else all it had was its standing share.
    pub known: bool,
}

/// A wish for tokens, and an account of what became of those it had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Whose.
    pub client: Client,
    /// Spent from the standing share; only in the first one.
    pub spent: f64,
    /// Tokens it holds.
    pub tokens: f64,
    /// How many more it could use.
    pub want: f64,
}

/// Tokens given back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Return {
    /// Whose.
    pub key: u64,
    /// Tokens given back.
    pub tokens: f64,
    /// Tokens kept.
    pub kept: f64,
    /// Nobody asked there for a while.
    pub idle: bool,
}

/// To a data plane. Applied in this order: marks, terms, recalls, grants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// Counts the messages of the stream.
    pub seq: u64,
    /// The newest request processed: the lease counts from when that was sent.
    pub echoed: u64,
    /// The ledger's epoch; in the first response only.
    pub welcome: Option<Welcome>,
    /// Tokens moved, or the news that there are none.
    pub grants: Vec<Grant>,
    /// Clients to give back what is left of.
    pub recalls: Vec<u64>,
    /// Changes of what is free.
    pub marks: Option<Marks>,
    /// What may be counted on.
    pub terms: Option<Terms>,
}

/// The first thing a data plane is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Grows with every start of a ledger.
    pub epoch: u64,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How often a data plane must say something.
    pub renew: Duration,
}

/// Tokens moved to a data plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// Whose.
    pub key: u64,
    /// How many.
    pub tokens: f64,
    /// From now on the data plane refills the bucket.
    pub whole: bool,
    /// With no tokens: there are none before.
    pub retry: Duration,
    /// The data plane is to remember that this bucket is not full.
    pub remember: Option<Client>,
}

/// Changes of the table of clients that are not free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// All other cells are clear.
    pub full: bool,
    /// Cells of clients that are not free.
    pub set: Vec<u32>,
    /// Cells whose clients are all free.
    pub cleared: Vec<u32>,
}

/// What a data plane may count on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Its standing share of every free client.
    pub share: f64,
    /// The part of every limit that is not set aside for data planes that were lost.
    pub factor: f64,
}
