//! What the ledger and this data plane say to each other. Tokens are in requests.

use balancer_proto::lease_key;

use crate::limit::Limit;

/// Whose bucket, and how large it is here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeaseClient {
    /// Stable hash; the lowest bit tells a limit of the client's own from the default limit.
    pub key: u64,
    /// Its limit.
    pub limit: Limit,
    /// Configuration revision the limit is from.
    pub revision: u64,
}

impl LeaseClient {
    /// Whether it is under the default limit.
    pub fn has_default_limit(&self) -> bool {
        lease_key::under_default_limit(self.key) == self.key
    }
}

/// To the ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Counts the messages of the stream.
    pub seq: u64,
    /// The newest response that was applied.
    pub acked: u64,
    /// In the first message, and only there.
    pub join: Option<Join>,
    /// Clients to get tokens for.
    pub asks: Vec<Ask>,
    /// What is not held here any longer.
    pub returns: Vec<Return>,
    /// This data plane stops; everything it held is in `returns`.
    pub leaving: bool,
}

/// The first thing the ledger is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Join {
    /// Stable over restarts with the same state directory.
    pub replica_id: String,
    /// Random per process.
    pub incarnation: u64,
    /// The epoch of the ledger last spoken to; 0: none.
    pub epoch: u64,
    /// The standing share, as last told.
    pub share: f64,
    /// Everything held, and every client known not to be free.
    pub holdings: Vec<Holding>,
    /// The marks here are not those of a ledger: all of them are to be sent.
    pub marks_unsure: bool,
}

/// What is held of one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Whose.
    pub client: LeaseClient,
    /// Tokens.
    pub tokens: f64,
    /// The bucket is refilled here.
    pub whole: bool,
    /// A ledger has answered for it; else all there was is the standing share.
    pub known: bool,
}

/// A wish for tokens, and an account of what became of those that were here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Whose.
    pub client: LeaseClient,
    /// Spent from the standing share; only in the first one.
    pub spent: f64,
    /// Tokens held.
    pub tokens: f64,
    /// How many more could be used.
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
    /// Nobody asked here for a while.
    pub idle: bool,
}

/// From the ledger. Applied in this order: marks, terms, recalls, grants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// Counts the messages of the stream.
    pub seq: u64,
    /// The newest request processed: the lease counts from when that was sent.
    pub echoed: u64,
    /// In the first response only.
    pub welcome: Option<Welcome>,
    /// Tokens moved here, or the news that there are none.
    pub grants: Vec<Grant>,
    /// Clients to give back what is left of.
    pub recalls: Vec<u64>,
    /// Changes of what is free.
    pub marks: Option<Marks>,
    /// What may be counted on.
    pub terms: Option<NewTerms>,
}

/// The first thing the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Grows with every start of a ledger.
    pub epoch: u64,
    /// How long a lease lasts, nanoseconds.
    pub lease_ns: u64,
    /// How often to say something, nanoseconds.
    pub renew_ns: u64,
}

/// Tokens moved here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// Whose.
    pub key: u64,
    /// How many.
    pub tokens: f64,
    /// From now on the bucket is refilled here.
    pub whole: bool,
    /// With no tokens: there are none before, in nanoseconds from now.
    pub retry_ns: u64,
    /// To be remembered: this bucket is not full.
    pub remember: Option<LeaseClient>,
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

/// What may be counted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewTerms {
    /// The standing share of every free client.
    pub share: f64,
    /// The part of every limit that is not set aside for data planes that were lost.
    pub factor: f64,
}
