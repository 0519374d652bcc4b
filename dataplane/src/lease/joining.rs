//! Beginning and ending streams: what is said first and last on them.

use super::{
    Lease, MARGIN_NS,
    message::{Holding, Join, Request, Welcome},
    stream::Stream,
};
use crate::{
    clock::Nanos,
    limiter::{BucketTable, Terms},
};

impl Lease {
    /// A stream to a ledger begins; the first thing to say on it.
    pub fn begin_stream(&mut self, table: &BucketTable, now: Nanos) -> Request {
        // What is refilled here meanwhile the ledger could not know of: it is settled now, and stands until it answers.
        let terms = table.terms();
        let holdings = self.holdings(table, now);
        table.set_terms(Terms { alone_from: Nanos(u64::MAX), ..terms });
        self.asks.clear();
        self.returns.clear();
        let mut stream = Stream::new(now);
        let (seq, acked) = stream.send(true, now);
        self.stream = Some(stream);
        let join = Join {
            replica_id: self.replica_id.clone(),
            incarnation: self.incarnation,
            epoch: self.epoch,
            share: self.saved_share.unwrap_or(terms.share),
            holdings,
            marks_unsure: self.marks_unsure,
        };
        Request { seq, acked, join: Some(join), ..Request::default() }
    }

    fn holdings(&mut self, table: &BucketTable, now: Nanos) -> Vec<Holding> {
        let mut holdings = Vec::with_capacity(self.records.len() + self.forgotten.len());
        for record in self.records.values_mut() {
            record.asked = None;
            holdings.push(record.holding(table, now));
        }
        for forgotten in self.forgotten.values_mut() {
            forgotten.told = true;
            holdings.push(forgotten.holding());
        }
        holdings
    }

    /// The ledger goes along with the stream.
    pub(super) fn welcomed(&mut self, welcome: Welcome, table: &BucketTable, now: Nanos) {
        (self.epoch, self.saved_share) = (welcome.epoch, None);
        (self.lease_ns, self.renew_ns) = (welcome.lease_ns, welcome.renew_ns);
        // The join may have been long on its way: the ledger has counted on this data plane until now, and others go by that
        // for as long as their leases last.
        self.alone_from = self.alone_from.max(now.plus(2 * self.lease_ns + MARGIN_NS));
        table.set_terms(Terms { alone_from: self.alone_from, ..table.terms() });
        // What was spent of the standing share since the stream began the ledger must hear of before it hears that this
        // data plane knows who is free.
        let untold: Vec<u64> = self.records.iter().filter(|(_, r)| !r.known).map(|(key, _)| *key).collect();
        untold.into_iter().for_each(|key| self.ask(key, now));
        self.tell_of_forgotten();
        if let Some(stream) = &mut self.stream {
            stream.welcome = true;
        }
    }

    /// The stream ended.
    pub fn disconnected(&mut self, table: &BucketTable, now: Nanos) {
        let Some(stream) = self.stream.take() else { return };
        if !stream.welcome {
            // It was not heard: from now on this data plane makes its share of tokens again, if it did before.
            self.alone_from = self.alone_from.max(now);
        }
        table.set_terms(Terms { alone_from: self.alone_from, ..table.terms() });
    }

    /// Everything goes back, and no more is asked for. To be said some time before [`Self::leave`]: what is on its way
    /// here comes in time to go back too. Of whom the ledger has not heard here, it hears first what was spent.
    pub fn give_back_all(&mut self, table: &BucketTable, now: Nanos) {
        self.asks.retain(|key| self.records.get(key).is_none_or(|record| !record.known));
        let keys: Vec<u64> = self.records.keys().copied().filter(|key| !self.asks.contains(key)).collect();
        keys.into_iter().for_each(|key| self.give_back(key, table, now, |_| 0.0, true));
    }

    /// Everything goes back: the last things to say before the data plane stops. None: there is nobody to say them to.
    pub fn leave(&mut self, table: &BucketTable, now: Nanos) -> Vec<Request> {
        if !self.is_welcome() {
            return Vec::new();
        }
        let mut requests = Vec::new();
        self.give_back_all(table, now);
        while !self.asks.is_empty() {
            requests.extend(self.speak(table, now));
        }
        self.give_back_all(table, now);
        while let Some(request) = self.speak(table, now) {
            let leaving = self.returns.is_empty();
            requests.push(Request { leaving, ..request });
            if leaving {
                break;
            }
        }
        requests
    }
}
