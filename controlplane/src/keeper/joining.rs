//! Who may begin a stream, and when.
//!
//! A process whose name another one has a stream under is a copy of it, or it is the same data plane started again while
//! the end of its old stream has not come: its machine lost power, or the network does not say. What the other one holds must
//! not be given away while it may use it. So the newcomer waits: the other one says something at every renewal, and then it
//! has the name; else its lease ends, and the newcomer has it.

use tonic::Status;

use super::{
    Applicant, Taken, Ticket,
    kept::{Kept, Seated},
};
use crate::ledger::{MemberId, message::Join};

impl Kept {
    /// A data plane begins a stream; one that it had is over.
    pub(super) fn join(&mut self, applicant: Applicant) {
        if self.is_hindered(&applicant.join) {
            tracing::debug!(replica = applicant.join.replica_id, "another process may have this replica_id");
            self.applicants.push(applicant);
        } else {
            self.admit(applicant);
        }
    }

    fn is_hindered(&self, join: &Join) -> bool {
        let other =
            |seated: &&Seated| seated.incarnation != join.incarnation && self.seats.contains_key(&seated.member);
        self.seated.get(&join.replica_id).filter(other).is_some()
            || self.ledger.waits_for_lease_of(&join.replica_id, join.incarnation)
    }

    fn admit(&mut self, applicant: Applicant) {
        let Applicant { join, seat, answer } = applicant;
        if answer.is_closed() {
            return;
        }
        self.streams += 1;
        let (replica, incarnation) = (join.replica_id.clone(), join.incarnation);
        let ticket = Ticket { member: self.ledger.join(join, self.now()), stream: self.streams };
        tracing::info!(replica, epoch = self.term.epoch, "data plane shares limits");
        self.seated.insert(replica, Seated { member: ticket.member, incarnation });
        if let Some((_, before)) = self.seats.insert(ticket.member, (ticket.stream, seat)) {
            before.end(Err(Status::aborted("the data plane has joined again")));
        }
        (self.remember_at, self.unswept) = (self.started, true);
        if answer.send(Ok(ticket)).is_err() {
            self.gone(ticket);
        }
    }

    /// A data plane said something: it is there, and has its name.
    pub(super) fn refuse_namesakes_of(&mut self, member: MemberId) {
        let seated = &self.seated;
        let has_name = |a: &mut Applicant| seated.get(&a.join.replica_id).is_some_and(|seated| seated.member == member);
        for refused in self.applicants.extract_if(.., has_name) {
            let replica = refused.join.replica_id;
            tracing::warn!(replica, "a second data plane has this replica_id: it must take another");
            // It may have gone.
            let _ = refused.answer.send(Err(Taken));
        }
    }

    /// Those whose namesakes are gone by now begin their streams.
    pub(super) fn admit_whom_nobody_hinders(&mut self) {
        for applicant in std::mem::take(&mut self.applicants) {
            self.join(applicant);
        }
    }
}
