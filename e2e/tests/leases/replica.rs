//! A data plane without sockets: its bucket table, its lease, and the requests that wait.

use std::sync::Arc;

use balancer_proto::v1::{LeaseRequest, LeaseResponse};
use dataplane::{
    clock::Nanos,
    lease::{Lease, MarkBits, NewLimit, PATIENCE_NS, Saved, Signal, message::LeaseClient},
    limiter::{BucketTable, LimitKind, Need},
};

use crate::client::Known;

/// A data plane.
pub(crate) struct Replica {
    pub(crate) id: String,
    pub(crate) incarnation: u64,
    /// What its clock says when the world's says 0.
    offset_ns: u64,
    pub(crate) table: BucketTable,
    pub(crate) lease: Lease,
    marks: Arc<MarkBits>,
    /// Limits as its configuration has them.
    pub(crate) clients: Vec<Known>,
    waiting: Vec<Waiting>,
    /// Tokens of its standing share that were spent, and nobody has been told.
    pub(crate) untold: bool,
    /// What a restart would find.
    pub(crate) saved: Saved,
    farewell: Farewell,
}

/// How far it is with stopping in order.
#[derive(Clone, Copy, PartialEq)]
enum Farewell {
    /// It does not stop.
    No,
    /// Everything has been given back, which will be said next.
    Begun,
    /// It is said, with this number, and not echoed yet.
    Said(u64),
    /// The last word has been said: what comes now means nothing any more.
    Left,
}

struct Waiting {
    client: usize,
    until: Nanos,
}

impl Replica {
    pub(crate) fn new(
        id: String,
        incarnation: u64,
        saved: Saved,
        clients: Vec<Known>,
        offset_ns: u64,
        now_ns: u64,
    ) -> Self {
        let (table, marks) = (BucketTable::new(64), Arc::new(MarkBits::default()));
        let now = Nanos(now_ns + offset_ns);
        let lease = Lease::new(id.clone(), incarnation, saved, marks.clone(), &table, now);
        Self {
            id,
            incarnation,
            offset_ns,
            table,
            lease,
            marks,
            clients,
            waiting: Vec::new(),
            untold: false,
            saved,
            farewell: Farewell::No,
        }
    }

    fn now(&self, now_ns: u64) -> Nanos {
        Nanos((now_ns + self.offset_ns) & !7)
    }

    /// Its configuration says another limit of a client from now on.
    pub(crate) fn retune(&mut self, client: usize, new: Known, now_ns: u64) {
        let (now, old) = (self.now(now_ns), std::mem::replace(&mut self.clients[client], new));
        self.table.retune(new.key, Some(&old.limit), &new.limit, now);
        let Known { key, limit, revision } = new;
        self.lease.retune(&NewLimit::Own(vec![LeaseClient { key, limit, revision }]));
    }

    /// One request of a client; says whether it was admitted. One that waits is decided later.
    pub(crate) fn request(&mut self, client: usize, now_ns: u64) -> bool {
        let now = self.now(now_ns);
        let (admitted, waits) = self.take(client, now);
        if waits {
            self.waiting.push(Waiting { client, until: now.plus(PATIENCE_NS) });
        }
        admitted
    }

    /// Whether a token was taken, and whether to wait for one.
    fn take(&mut self, client: usize, now: Nanos) -> (bool, bool) {
        let (client, marks) = (self.clients[client], self.marks.clone());
        let taken =
            self.table.take_shared(client.key, &client.limit, LimitKind::Client, now, || marks.contains(client.key));
        let first = if let Need::First(tokens) = taken.need { Some(tokens) } else { None };
        self.untold |= first.is_some() && taken.decision.admitted;
        let signals = matches!(taken.need, Need::First(_) | Need::Ask | Need::AskAndWait);
        let signal = Signal {
            client: LeaseClient { key: client.key, limit: client.limit, revision: client.revision },
            bucket: client.key,
            kind: LimitKind::Client,
            first,
        };
        let in_vain = signals && self.lease.heard(&signal, &self.table, now);
        if in_vain {
            self.note_spent();
        }
        if taken.decision.admitted || taken.need == Need::Nothing {
            return (taken.decision.admitted, false);
        }
        if in_vain {
            // Once more: the standing share decides.
            let again = self.table.take_shared(client.key, &client.limit, LimitKind::Client, now, || true);
            self.untold |= again.decision.admitted;
            return (again.decision.admitted, false);
        }
        (false, true)
    }

    /// Decides about those who waited and have an answer, or have waited long enough. Calls `admitted` for each client.
    pub(crate) fn decide(&mut self, answered: &[u64], now_ns: u64, mut admitted: impl FnMut(usize)) {
        let now = self.now(now_ns);
        for waiting in std::mem::take(&mut self.waiting) {
            let key = self.clients[waiting.client].key;
            let late = waiting.until <= now;
            if !late && !answered.contains(&key) {
                self.waiting.push(waiting);
                continue;
            }
            if late {
                self.table.give_up(key, LimitKind::Client);
            }
            let (taken, waits) = self.take(waiting.client, now);
            if taken {
                self.untold |= late;
                admitted(waiting.client);
            } else if waits && !late {
                self.waiting.push(waiting);
            }
        }
    }

    pub(crate) fn tick(&mut self, now_ns: u64) -> Result<Vec<u64>, dataplane::lease::Fault> {
        let now = self.now(now_ns);
        let ticked = self.lease.tick(&self.table, now);
        let terms = self.table.terms();
        if !terms.are_valid(now) && terms.share > 0.0 {
            self.note_spent();
        }
        ticked
    }

    pub(crate) fn outgoing(&mut self, now_ns: u64) -> Option<LeaseRequest> {
        if self.farewell == Farewell::Left {
            return None;
        }
        let request = self.lease.request(&self.table, self.now(now_ns))?;
        self.untold &= request.asks.is_empty();
        if self.farewell == Farewell::Begun {
            self.farewell = Farewell::Said(request.seq);
        }
        Some(request.into())
    }

    /// It stops in order: gives everything back, and says goodbye once that is heard.
    pub(crate) fn begin_to_leave(&mut self, now_ns: u64) {
        self.lease.give_back_all(&self.table, self.now(now_ns));
        self.farewell = Farewell::Begun;
    }

    /// Another has its name.
    pub(crate) fn rename(&mut self, id: String) {
        (self.id, self.saved) = (id.clone(), Saved::default());
        self.lease.rename(id, &self.table);
    }

    /// Clients may get what no ledger hears of, if there are any.
    fn note_spent(&mut self) {
        self.saved.spent |= self.saved.share > 0.0 && self.lease.clients() > 0;
    }

    /// It is refused at once: there is no ledger.
    pub(crate) fn nobody_answers(&mut self) {
        self.note_spent();
        self.lease.alone(&self.table);
    }

    pub(crate) fn begin_stream(&mut self, now_ns: u64) -> LeaseRequest {
        self.lease.begin_stream(&self.table, self.now(now_ns)).into()
    }

    pub(crate) fn leave(&mut self, now_ns: u64) -> Vec<LeaseRequest> {
        self.farewell = Farewell::Left;
        self.lease.leave(&self.table, self.now(now_ns)).into_iter().map(Into::into).collect()
    }

    /// Whether what was given back has been heard: then it is time for the last word.
    pub(crate) fn may_leave(&self, echoed: u64) -> bool {
        matches!(self.farewell, Farewell::Said(seq) if seq <= echoed)
    }

    /// Whether it takes no part any more.
    pub(crate) fn has_left(&self) -> bool {
        self.farewell == Farewell::Left
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.farewell != Farewell::No
    }

    pub(crate) fn disconnected(&mut self, now_ns: u64) {
        self.note_spent();
        self.lease.disconnected(&self.table, self.now(now_ns));
    }

    /// The clients that have an answer; an error ends the stream.
    pub(crate) fn receive(&mut self, response: LeaseResponse, now_ns: u64) -> Result<Vec<u64>, String> {
        let response = response.try_into().map_err(|refusal: dataplane::Refusal| refusal.to_string())?;
        let answered =
            self.lease.receive(response, &self.table, self.now(now_ns)).map_err(|fault| fault.to_string())?;
        self.saved = Saved { share: self.table.terms().share, spent: false };
        Ok(answered)
    }
}
