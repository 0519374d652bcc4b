//! One data plane as the ledger sees it: its stream, its lease, its share.

use std::{collections::VecDeque, time::Duration};

use super::{
    entry::Entry,
    message::{Grant, Holding, Response, Terms, Welcome},
};

/// Names a data plane for as long as the ledger knows it.
pub type MemberId = u32;

/// Where a data plane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has a stream.
    Connected,
    /// Its stream ended; it is expected back until its lease has.
    Closed,
    /// It was not heard of for too long: its share of every limit is set aside for what it may do alone.
    Lost,
    /// It was lost and has a stream again, but has not said yet that it knows.
    Returning,
}

/// What it knows of who is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// What this ledger told it.
    Current,
    /// What an earlier ledger told it; it came back at once.
    Earlier,
    /// The same, and it came back too late to be asked.
    Late,
}

impl Knowledge {
    /// Whether the standing share that is set aside for it may be one that an earlier ledger had taken from it.
    pub(super) fn is_stale_about(self, entry: &Entry) -> bool {
        match self {
            Self::Current => false,
            Self::Earlier => entry.replayed,
            Self::Late => true,
        }
    }
}

/// What a data plane counts on of clients that it takes for free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    /// See [`Member::share`].
    pub(super) share: f64,
    /// See [`Member::marks_acked`].
    pub(super) marks_acked: u64,
    /// See [`Member::knowledge`].
    pub(super) knowledge: Knowledge,
}

/// A data plane.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) replica_id: String,
    pub(super) incarnation: u64,
    pub(super) standing: Standing,
    /// It has been given a lease and has said so; a lost one that comes back stays lost until then.
    pub(super) welcomed: bool,
    /// The newest request processed.
    pub(super) heard_seq: u64,
    /// When that came: its lease ends no later than one lease time from then.
    pub(super) heard: Duration,
    /// Its lease ends no earlier than this.
    pub(super) lease_floor: Duration,
    /// When it was lost.
    pub(super) lost_since: Duration,
    /// It was known to an earlier ledger, and this one has not heard of it.
    pub(super) missing: bool,
    /// Its stream was ended from here.
    pub(super) cast_off: bool,
    /// What it said that it has and is not in the accounts yet, sorted by client; until it is, it is told nothing.
    pub(super) to_replay: VecDeque<Holding>,
    /// What it may hold was written off; nothing of its stream counts any more.
    pub(super) written_off: bool,
    /// The largest standing share it may believe in.
    pub(super) share: f64,
    /// It is in the memory that outlives the ledger, so it may have a share.
    pub(super) remembered: bool,
    /// The newest change of the marks it has applied; 0: it knows none of this epoch.
    pub(super) marks_acked: u64,
    /// The newest it was sent.
    pub(super) marks_sent: u64,
    /// Whose marks it goes by until it acknowledges the first of this ledger.
    pub(super) knowledge: Knowledge,
    /// The terms it was last sent.
    pub(super) terms_sent: Option<Terms>,
    /// When it was last sent a response.
    pub(super) last_sent: Duration,
    acked: u64,
    acked_share: f64,
    sent_seq: u64,
    sent: VecDeque<Sent>,
    /// When the response was sent that the newest request acknowledges.
    acked_sent_at: Duration,
    /// What the next response will say.
    pub(super) draft: Response,
    /// A request has not been echoed yet.
    pub(super) owes_echo: bool,
    /// Until it has acknowledged a smaller factor, its lease is not made longer: (the response, the request echoed).
    echo_bound: Option<(u64, u64)>,
}

/// A response that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u64,
    at: Duration,
    /// The lease it gives ends no earlier than this.
    lease_floor: Duration,
    marks: u64,
    share: Option<f64>,
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct News {
    /// It has applied newer marks; these were the newest before, and its share.
    pub(super) marks: Option<(u64, f64)>,
    /// It has taken in a smaller share.
    pub(super) shrunk: bool,
    /// It has its lease.
    pub(super) welcomed: bool,
}

impl Member {
    pub(super) fn new(replica_id: String, incarnation: u64, now: Duration) -> Self {
        Self {
            replica_id,
            incarnation,
            standing: Standing::Connected,
            welcomed: false,
            heard_seq: 0,
            heard: now,
            lease_floor: now,
            lost_since: now,
            missing: false,
            cast_off: false,
            to_replay: VecDeque::new(),
            written_off: false,
            share: 0.0,
            remembered: false,
            marks_acked: 0,
            marks_sent: 0,
            knowledge: Knowledge::Current,
            terms_sent: None,
            last_sent: Duration::ZERO,
            acked: 0,
            acked_share: 0.0,
            sent_seq: 0,
            sent: VecDeque::new(),
            acked_sent_at: now,
            draft: Response::default(),
            owes_echo: false,
            echo_bound: None,
        }
    }

    /// A new stream begins with its first request.
    pub(super) fn begin_stream(&mut self, welcome: Welcome, now: Duration) {
        self.heard_seq = 1;
        self.heard = self.heard.max(now);
        (self.acked, self.sent_seq, self.acked_share) = (0, 0, self.share);
        self.sent.clear();
        self.to_replay.clear();
        self.acked_sent_at = now;
        self.cast_off = false;
        self.welcomed = false;
        self.marks_sent = self.marks_acked;
        self.terms_sent = None;
        self.draft = Response { welcome: Some(welcome), ..Response::default() };
        (self.owes_echo, self.echo_bound) = (true, None);
    }

    /// Its share is what it said it is, in the stream that has begun.
    pub(super) fn begin_stream_with_share(&mut self) {
        self.acked_share = self.share;
    }

    /// Its stream ended.
    pub(super) fn stream_ended(&mut self) {
        self.to_replay.clear();
        self.standing = match self.standing {
            Standing::Connected | Standing::Closed => Standing::Closed,
            Standing::Returning | Standing::Lost => Standing::Lost,
        };
    }

    /// Whether standing shares and tokens of it are among those that exist.
    pub(super) fn counts(&self) -> bool {
        matches!(self.standing, Standing::Connected | Standing::Closed)
    }

    /// Whether it can be sent to.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.standing, Standing::Connected | Standing::Returning)
    }

    /// Whether it has a stream and has been heard out: what it has is in the accounts.
    pub(super) fn is_heard_out(&self) -> bool {
        self.is_served() && self.to_replay.is_empty()
    }

    /// Whether it can be told to remember clients.
    pub(super) fn can_remember(&self) -> bool {
        self.standing == Standing::Connected && self.welcomed
    }

    /// What it counts on.
    pub(super) fn belief(&self) -> Belief {
        Belief { share: self.share, marks_acked: self.marks_acked, knowledge: self.knowledge }
    }

    /// The newest response it is known to have applied.
    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether it can have applied the responses up to this one.
    pub(super) fn can_acknowledge(&self, acked: u64) -> bool {
        (self.acked..=self.sent_seq).contains(&acked)
    }

    /// Takes in what it says it has applied.
    pub(super) fn acknowledge(&mut self, acked: u64) -> News {
        let (mut news, before) = (News::default(), (self.marks_acked, self.share));
        while let Some(sent) = self.sent.front().copied().filter(|sent| sent.seq <= acked) {
            self.sent.pop_front();
            self.lease_floor = self.lease_floor.max(sent.lease_floor);
            self.acked_sent_at = sent.at;
            self.marks_acked = self.marks_acked.max(sent.marks);
            self.acked_share = sent.share.unwrap_or(self.acked_share);
        }
        let believed = self.sent.iter().filter_map(|sent| sent.share).fold(self.acked_share, f64::max);
        news.shrunk = believed < self.share;
        self.share = believed;
        news.marks = (self.marks_acked > before.0).then_some(before);
        news.welcomed = !self.welcomed && acked > 0;
        self.welcomed |= acked > 0;
        self.acked = acked;
        self.echo_bound = self.echo_bound.filter(|(needed, _)| *needed > acked);
        news
    }

    /// The share it will believe in once it has applied everything sent.
    pub(super) fn last_share(&self) -> f64 {
        self.terms_sent.map_or(self.share, |terms| terms.share)
    }

    /// Number of the response that is being written.
    pub(super) fn next_seq(&self) -> u64 {
        self.sent_seq + 1
    }

    /// Adds a grant to the next response.
    pub(super) fn grant(&mut self, grant: Grant) {
        self.draft.grants.push(grant);
    }

    /// Finishes the draft, at `now`; its lease is `lease` long.
    pub(super) fn send(&mut self, lease: Duration, now: Duration) -> Response {
        let mut response = std::mem::take(&mut self.draft);
        self.sent_seq += 1;
        response.seq = self.sent_seq;
        response.echoed = self.echo_bound.map_or(self.heard_seq, |(_, echoed)| echoed);
        // The request echoed was sent after the response it acknowledges had come.
        let extends = self.acked > 0 && self.echo_bound.is_none();
        let lease_floor = if extends { self.acked_sent_at + lease } else { Duration::ZERO };
        let share = response.terms.map(|terms| terms.share);
        self.sent.push_back(Sent { seq: self.sent_seq, at: now, lease_floor, marks: self.marks_sent, share });
        (self.owes_echo, self.last_sent) = (false, now);
        response
    }

    /// Puts new terms into the next response.
    pub(super) fn set_terms(&mut self, terms: Terms) {
        if self.terms_sent.is_some_and(|sent| terms.factor < sent.factor) {
            self.echo_bound = Some((self.next_seq(), self.heard_seq));
        }
        self.share = self.share.max(terms.share);
        self.draft.terms = Some(terms);
        self.terms_sent = Some(terms);
    }
}
