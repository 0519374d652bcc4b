//! The ledger: who holds which tokens of which client.
//!
//! All data planes together may admit of a client what one token bucket would. So tokens are moved between the ledger
//! and data planes and never made twice: of each client, those that exist anywhere are never more than its capacity, and
//! they grow at its rate. A client used by one data plane alone is handed over whole, and that data plane refills it;
//! one used by several gets its tokens from here, in batches. The protocol, and why it is right, is in
//! docs/adr/0001-limits-across-data-planes.md.
//!
//! Pure: messages and the time in, messages out. Time is what has passed since the ledger started, on a monotonic clock.

mod accounts;
mod entry;
mod explain;
mod grants;
mod holder;
mod in_flight;
mod journal;
mod lifecycle;
mod marks;
mod member;
pub mod message;
mod recovery;
mod replay;
mod returns;
mod shares;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use self::{
    accounts::Waiter,
    entry::Entry,
    journal::Journal,
    marks::MarkTable,
    member::{Member, Standing},
    message::{Join, Request, Response, Welcome},
    recovery::Recovery,
    sweep::Sweep,
};
pub use self::{
    explain::{Explanation, Holds, MemberView, Stand},
    member::MemberId,
};

/// The times the protocol goes by.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a data plane may use what it holds after it sent a request that was answered.
    pub lease: Duration,
    /// How often it says something.
    pub renew: Duration,
    /// What clocks may differ by over a lease, and more.
    pub margin: Duration,
    /// How long the share of a data plane that fell silent is set aside for it.
    pub forget_lost: Duration,
    /// How long one is waited for that was known to the ledger before this one and has not come back.
    pub forget_missing: Duration,
    /// How long an ask may wait for other data planes; a little more than requests wait.
    pub patience: Duration,
    /// Accounts that a tick looks after, and holdings of those who join that it takes in: so many take some milliseconds.
    pub accounts_per_tick: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(2),
            renew: Duration::from_millis(400),
            margin: Duration::from_millis(100),
            forget_lost: Duration::from_secs(600),
            forget_missing: Duration::from_secs(10),
            patience: Duration::from_millis(30),
            accounts_per_tick: 10_000,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    timing: Timing,
    epoch: u64,
    members: BTreeMap<MemberId, Member>,
    next_member: MemberId,
    /// An account is up to date only after [`Self::look`] or [`Self::open`]. A tree and not a hash table: it grows without
    /// ever standing still, and rounds go through it in order.
    entries: BTreeMap<u64, Entry>,
    /// What accounts have not been told yet.
    journal: Journal,
    sweep: Sweep,
    marks: MarkTable,
    /// The part of every limit that is not set aside for data planes that were lost.
    factor: f64,
    /// Asks without an answer by client, the oldest first.
    waiting: BTreeMap<u64, Vec<Waiter>>,
    /// Clients whose only user gets the whole bucket as soon as nobody else counts on a share of it: (user, mark,
    /// client).
    upgrades: BTreeSet<(MemberId, u64, u64)>,
    /// Accounts to which everything came back.
    full: Vec<u64>,
    /// Shares may not be equal any more.
    shares_are_stale: bool,
    share_out_at: Duration,
    /// Accounts without a data plane that would remember them if the ledger were gone.
    orphans: VecDeque<u64>,
    /// `None` once the ledger may grant.
    recovery: Option<Recovery>,
    /// A data plane of an earlier epoch has not come back: only it may know that a client is not free. So a client that
    /// nobody replayed had no tokens at this time, and nobody has a standing share.
    empty_since: Option<Duration>,
    tallies: Tallies,
}

/// What the ledger has done, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Asks received.
    pub asks: u64,
    /// Grants of tokens.
    pub grants: u64,
    /// Grants of a whole bucket.
    pub whole_grants: u64,
    /// Asks answered with "none before".
    pub refusals: u64,
    /// Recalls sent.
    pub recalls: u64,
    /// Returns received.
    pub returns: u64,
    /// Data planes lost.
    pub lost: u64,
}

/// Why a stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The ledger does not know the stream any more: the data plane was lost, or came back on another stream.
    #[error("the lease has ended; join again")]
    Unknown,
    /// A message is missing, or comes twice.
    #[error("a message is not the one that was due")]
    OutOfOrder,
}

impl Ledger {
    /// A ledger of `epoch`, which must be greater than any before. `remembered` are the data planes that may have held
    /// something of an earlier one: until they are back, or their leases have ended, nothing is granted.
    pub fn new(timing: Timing, epoch: u64, remembered: impl IntoIterator<Item = String>) -> Self {
        Self {
            timing,
            epoch,
            members: BTreeMap::new(),
            next_member: 1,
            entries: BTreeMap::new(),
            journal: Journal::default(),
            sweep: Sweep::default(),
            marks: MarkTable::new(),
            factor: 1.0,
            waiting: BTreeMap::new(),
            upgrades: BTreeSet::new(),
            full: Vec::new(),
            orphans: VecDeque::new(),
            shares_are_stale: false,
            share_out_at: Duration::ZERO,
            recovery: Recovery::of(remembered, timing.lease + timing.margin),
            empty_since: None,
            tallies: Tallies::default(),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What has been done so far.
    pub fn tallies(&self) -> Tallies {
        self.tallies
    }

    /// A data plane begins a stream. Its first request is number 1; there is nothing else in it.
    pub fn join(&mut self, join: Join, now: Duration) -> MemberId {
        let id = self.enter(&join, now);
        match &mut self.recovery {
            Some(recovery) => {
                recovery.came_back(id, join);
                self.tick(now);
            }
            None => self.replay(id, join, now),
        }
        id
    }

    /// Processes a request. After an error the stream must be closed.
    pub fn receive(&mut self, id: MemberId, request: Request, now: Duration) -> Result<(), Fault> {
        let member = self.members.get_mut(&id).filter(|m| m.is_served()).ok_or(Fault::Unknown)?;
        // Before it is heard out it has been told nothing, and has nothing to say.
        let is_next = request.seq == member.heard_seq + 1 && member.is_heard_out();
        if !is_next || !member.can_acknowledge(request.acked) {
            self.cast_off(id);
            return Err(Fault::OutOfOrder);
        }
        member.heard_seq = request.seq;
        member.heard = member.heard.max(now);
        member.owes_echo = true;
        // What it says of its tokens comes before what it acknowledges: it gave back what it had under the old terms.
        let acked = request.acked;
        for returned in &request.returns {
            self.take_back(id, returned, acked, now);
        }
        for ask in &request.asks {
            self.ask(id, ask, acked, now);
        }
        if let Some(news) = self.members.get_mut(&id).map(|m| m.acknowledge(acked)) {
            self.acknowledged(id, news, now);
        }
        if request.leaving {
            self.leave(id, acked, now);
        }
        Ok(())
    }

    /// A stream ended.
    pub fn disconnected(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stream_ended();
        }
    }

    /// Does what is due. Call it often: within [`Timing::renew`] always, within milliseconds while [`Self::is_busy`].
    pub fn tick(&mut self, now: Duration) {
        self.recover(now);
        self.judge(now);
        if self.shares_are_stale && now >= self.share_out_at {
            self.share_out();
            // Each change is told to everybody: the more there are, the more of them wait for the next.
            self.share_out_at = now + Duration::from_millis(self.members.len() as u64).min(Duration::from_secs(1));
        }
        self.replay_more(now);
        self.free_the_returned(now);
        self.sweep(now);
        self.find_custodians(now);
        self.upgrade(now);
        self.serve_all(now);
    }

    /// There is something that should not wait: asks that need other data planes, news for the accounts, or a data plane that
    /// is not heard out.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.journal.is_empty() || self.members.values().any(|m| !m.to_replay.is_empty())
    }

    /// The next response to a data plane, if there is anything to say.
    pub fn response(&mut self, id: MemberId, now: Duration) -> Option<Response> {
        if self.recovery.is_some() {
            return None;
        }
        let newest = self.marks.newest();
        // A ledger after this one must know of everybody who may hold something.
        let member = self.members.get_mut(&id).filter(|m| m.is_heard_out() && m.remembered)?;
        if member.marks_sent < newest {
            member.draft.marks = Some(self.marks.since(member.marks_sent));
            member.marks_sent = newest;
        }
        let draft = &member.draft;
        let says = draft.welcome.is_some() || draft.marks.is_some() || draft.terms.is_some();
        let moves = !draft.grants.is_empty() || !draft.recalls.is_empty();
        // An echo alone can wait for something to go with it, for as long as that costs nobody its lease.
        let echoes = member.owes_echo && now >= member.last_sent + self.timing.renew / 8;
        (says || moves || echoes).then(|| member.send(self.timing.lease, now))
    }

    /// Data planes with something to hear.
    pub fn recipients(&self) -> Vec<MemberId> {
        self.members.iter().filter(|(_, m)| m.is_served()).map(|(id, _)| *id).collect()
    }

    /// Whether a process under this name, other than this one, may still go by a lease that the ledger has given up on.
    pub fn waits_for_lease_of(&self, replica_id: &str, incarnation: u64) -> bool {
        let is_it = |m: &&Member| m.replica_id == replica_id && m.incarnation != incarnation && !m.missing;
        self.members.values().find(is_it).is_some_and(|m| m.standing == Standing::Lost && !m.written_off)
    }

    /// Whether the ledger still serves this stream.
    pub fn serves(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(Member::is_served)
    }

    /// Data planes that a memory which outlives the ledger should name. Tell when it does: [`Self::remembered`].
    pub fn to_remember(&self) -> BTreeSet<String> {
        let waited_for = self.recovery.iter().flat_map(Recovery::expected);
        self.members.values().map(|m| m.replica_id.clone()).chain(waited_for).collect()
    }

    /// The memory names these data planes.
    pub fn remembered(&mut self, ids: &BTreeSet<String>) {
        for member in self.members.values_mut().filter(|m| !m.remembered && ids.contains(&m.replica_id)) {
            member.remembered = true;
            self.shares_are_stale = true;
        }
    }

    fn welcome(&self) -> Welcome {
        Welcome { epoch: self.epoch, lease: self.timing.lease, renew: self.timing.renew }
    }
}
