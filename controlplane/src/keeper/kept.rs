//! A ledger that is kept, with the streams of its data planes.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::Status;

use super::{
    Applicant, Picture, Seat, Ticket,
    memory::{Memory, Written},
};
use crate::{
    authority::Term,
    clock,
    ledger::{Fault, Ledger, MemberId, Timing, message::Request},
    metrics::Metrics,
    store::Store,
};

/// Time between ticks while asks wait for other data planes, and else.
const TICKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// Time between looks whom the memory must name.
const REMEMBER: Duration = Duration::from_secs(1);
/// How often everybody may be looked after: this much apart for each.
const SWEEP_PER_SEAT: Duration = Duration::from_micros(10);
const SWEEPS_APART_AT_MOST: Duration = Duration::from_millis(10);

/// See the module.
pub(super) struct Kept {
    pub(super) term: Arc<Term>,
    pub(super) ledger: Ledger,
    pub(super) started: Instant,
    /// When the ledger's time began, since boot.
    begun: Duration,
    pub(super) seats: BTreeMap<MemberId, (u64, Seat)>,
    /// The processes that have these seats, by replica.
    pub(super) seated: BTreeMap<String, Seated>,
    pub(super) streams: u64,
    /// Those who begin a stream under a name that another process has.
    pub(super) applicants: Vec<Applicant>,
    memory: Memory,
    /// When to look whom the memory must name; at once when data planes come or go.
    pub(super) remember_at: Instant,
    tick_at: Instant,
    swept: Instant,
    /// Somebody may have something to hear.
    pub(super) unswept: bool,
}

/// A process that has a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seated {
    pub(super) member: MemberId,
    pub(super) incarnation: u64,
}

impl Kept {
    pub(super) fn new(term: Arc<Term>, store: Store) -> Self {
        let now = Instant::now();
        Self {
            ledger: Ledger::new(Timing::default(), term.epoch, term.remembered.iter().cloned()),
            memory: Memory::new(store, term.epoch, term.remembered.clone()),
            term,
            started: now,
            begun: clock::since_boot(),
            seats: BTreeMap::new(),
            seated: BTreeMap::new(),
            streams: 0,
            applicants: Vec::new(),
            remember_at: now,
            tick_at: now,
            swept: now,
            unswept: false,
        }
    }

    /// Whether this control plane is still the authority.
    pub(super) fn lasts(&self) -> bool {
        self.term.lasts()
    }

    /// When there is something to do though nobody says anything.
    pub(super) fn wake_at(&self) -> Instant {
        let sweep_at = self.swept + self.sweeps_apart();
        if self.unswept { self.tick_at.min(sweep_at) } else { self.tick_at }
    }

    /// A data plane said something; it is answered at once.
    pub(super) fn receive(&mut self, ticket: Ticket, request: Request) {
        if !self.holds(ticket) {
            return;
        }
        self.refuse_namesakes_of(ticket.member);
        let leaving = request.leaving;
        let received = self.ledger.receive(ticket.member, request, self.now());
        self.unswept = true;
        match received {
            Err(fault) => self.cut(ticket.member, Err(refused(fault))),
            Ok(()) if leaving => self.cut(ticket.member, Ok(())),
            Ok(()) => self.send(ticket.member),
        }
    }

    /// A data plane's stream ended.
    pub(super) fn gone(&mut self, ticket: Ticket) {
        if self.holds(ticket) {
            self.cut(ticket.member, Ok(()));
        }
    }

    /// Does what is due.
    pub(super) fn work(&mut self, metrics: &Metrics) {
        let now = Instant::now();
        if now >= self.tick_at {
            self.ledger.tick(self.now());
            self.end_the_unserved();
            self.unswept = true;
            metrics.ledger(&self.ledger);
        }
        self.admit_whom_nobody_hinders();
        let pause = if self.ledger.is_busy() { TICKS.0 } else { TICKS.1 };
        self.tick_at = if now >= self.tick_at { now + pause } else { self.tick_at.min(now + pause) };
        if now >= self.remember_at {
            self.remember(now);
        }
        if self.unswept && now >= self.swept + self.sweeps_apart() {
            self.sweep(now);
        }
    }

    /// Ends when the database has been written to.
    pub(super) async fn write(&mut self) -> Written {
        self.memory.write().await
    }

    /// The database has been written to.
    pub(super) fn written(&mut self, written: &Written) {
        match written {
            // Data planes get their shares now.
            Written::Yes => (self.remember_at, self.tick_at) = (self.started, self.started),
            Written::NotYet => {}
            Written::Superseded => self.term.end(),
        }
    }

    pub(super) fn picture(&self, key: Option<u64>) -> Picture {
        let client = key.and_then(|key| self.ledger.explain(key, self.now()));
        Picture::of(&self.ledger, client)
    }

    /// Ends every stream: this is not the ledger any more.
    pub(super) fn close(self) {
        for (_, seat) in self.seats.into_values() {
            seat.end(Err(Status::unavailable("this control plane is not the authority any more; join again")));
        }
    }

    pub(super) fn now(&self) -> Duration {
        clock::since_boot().saturating_sub(self.begun)
    }

    fn holds(&self, ticket: Ticket) -> bool {
        self.seats.get(&ticket.member).is_some_and(|(stream, _)| *stream == ticket.stream)
    }

    fn cut(&mut self, member: MemberId, why: Result<(), Status>) {
        self.ledger.disconnected(member);
        self.remember_at = self.started;
        self.seated.retain(|_, seated| seated.member != member);
        if let Some((_, seat)) = self.seats.remove(&member) {
            seat.end(why);
        }
    }

    /// Keeps the database's memory at what the ledger wants remembered.
    fn remember(&mut self, now: Instant) {
        self.remember_at = now + REMEMBER;
        let wanted = self.ledger.to_remember();
        // Also when nothing changed: a data plane may have left and come back meanwhile.
        self.ledger.remembered(self.memory.named());
        self.memory.want(wanted);
    }

    fn sweeps_apart(&self) -> Duration {
        let seats = u32::try_from(self.seats.len()).unwrap_or(u32::MAX);
        SWEEP_PER_SEAT.saturating_mul(seats).min(SWEEPS_APART_AT_MOST)
    }

    /// Sends everybody what there is to hear.
    fn sweep(&mut self, now: Instant) {
        (self.swept, self.unswept) = (now, false);
        for member in self.ledger.recipients() {
            self.send(member);
        }
        let stuck: Vec<_> = self.seats.iter().filter(|(_, (_, seat))| seat.is_stuck(now)).map(|(id, _)| *id).collect();
        for member in stuck {
            self.ledger.cast_off(member);
            self.cut(member, Err(Status::resource_exhausted("the data plane does not take its answers")));
        }
        if self.seats.values().any(|(_, seat)| seat.is_full()) {
            self.tick_at = self.tick_at.min(now + TICKS.0);
        }
    }

    fn send(&mut self, member: MemberId) {
        // The clock is looked at again: the process may have been stopped.
        if !self.term.lasts() {
            return;
        }
        let (now, since_start) = (Instant::now(), self.now());
        let Self { ledger, seats, .. } = self;
        if let Some((_, seat)) = seats.get_mut(&member) {
            seat.send(now, || ledger.response(member, since_start).map(Into::into));
        }
    }

    fn end_the_unserved(&mut self) {
        let unserved: Vec<_> = self.seats.keys().copied().filter(|member| !self.ledger.serves(*member)).collect();
        for member in unserved {
            self.cut(member, Err(refused(Fault::Unknown)));
        }
    }
}

fn refused(fault: Fault) -> Status {
    match fault {
        Fault::Unknown => Status::failed_precondition(fault.to_string()),
        Fault::OutOfOrder => Status::invalid_argument(fault.to_string()),
    }
}
