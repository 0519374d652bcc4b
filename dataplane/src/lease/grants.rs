//! Taking in what the ledger says.

use super::{
    Fault, IDLE_NS, Lease, MARGIN_NS,
    marks::{cell, keys_of},
    message::{Grant, Marks, NewTerms, Response},
    record::Record,
};
use crate::{
    clock::Nanos,
    limiter::{BucketTable, Mode, Terms},
};

/// Less of a token than this is what rounding leaves.
const FRACTION: f64 = 1e-6;

impl Lease {
    /// Applies a response. Returns the clients that have an answer. After an error the stream must be closed.
    pub fn receive(&mut self, response: Response, table: &BucketTable, now: Nanos) -> Result<Vec<u64>, Fault> {
        let stream = self.stream.as_mut().ok_or(Fault::OutOfOrder)?;
        if !stream.receive(response.seq, now) || (response.welcome.is_none() && !stream.welcome) {
            return Err(Fault::OutOfOrder);
        }
        stream.owes_ack |= response.marks.is_some() || response.terms.is_some() || response.welcome.is_some();
        if let Some(marks) = &response.marks {
            self.mark(marks, table);
        }
        if let Some(terms) = response.terms {
            self.take_terms(terms, table, now);
        }
        for key in &response.recalls {
            // With a welcome, it is what an earlier ledger granted and this one does not.
            self.recalled(*key, response.welcome.is_none(), table, now);
        }
        let answered = response.grants.iter().map(|grant| grant.key).collect();
        for grant in &response.grants {
            self.granted(grant, table, now);
        }
        if let Some(welcome) = response.welcome {
            self.welcomed(welcome, table, now);
        }
        self.renew(response.echoed, table);
        Ok(answered)
    }

    /// The lease lasts from when the echoed request was sent.
    fn renew(&mut self, echoed: u64, table: &BucketTable) {
        let Some(sent) = self.stream.as_mut().and_then(|stream| stream.echoed(echoed)) else { return };
        let valid_until = sent.plus(self.lease_ns);
        let terms = table.terms();
        if valid_until <= terms.valid_until {
            return;
        }
        self.alone_from = self.alone_from.max(valid_until.plus(self.lease_ns + MARGIN_NS));
        table.set_terms(Terms { valid_until, alone_from: self.alone_from, ..terms });
    }

    fn mark(&mut self, marks: &Marks, table: &BucketTable) {
        if marks.full {
            // Those the ledger has not heard of yet are not among its marks.
            let untold = self.forgotten.iter().filter(|(_, forgotten)| !forgotten.told).map(|(key, _)| cell(*key));
            let cells: Vec<u32> = marks.set.iter().copied().chain(untold).collect();
            self.marks.set_only(&cells);
            self.marks_unsure = false;
        } else {
            marks.set.iter().for_each(|cell| self.marks.set(*cell, true));
        }
        marks.cleared.iter().for_each(|cell| self.marks.set(*cell, false));
        let freed: Vec<u64> = if marks.full {
            self.records.keys().copied().filter(|key| !self.marks.contains(*key)).collect()
        } else {
            marks.cleared.iter().flat_map(|cell| self.records.range(keys_of(*cell)).map(|(key, _)| *key)).collect()
        };
        freed.into_iter().for_each(|key| self.forget(key, table));
    }

    /// A client is free. One that is being asked for stays: the ledger will hear of it and answer.
    fn forget(&mut self, key: u64, table: &BucketTable) {
        let Some(record) = self.records.get(&key).filter(|record| record.asked.is_none() && record.known) else {
            return;
        };
        if let Some(place) = record.place() {
            table.release(place.bucket, place.kind);
        }
        self.records.remove(&key);
    }

    fn take_terms(&mut self, new: NewTerms, table: &BucketTable, now: Nanos) {
        let old = table.terms();
        let (share, factor) = (new.share.clamp(0.0, 1.0), new.factor.clamp(0.0, 1.0));
        let keys: Vec<u64> = if factor == old.factor { Vec::new() } else { self.records.keys().copied().collect() };
        for key in keys {
            let Some((whole, known)) = self.records.get(&key).map(|record| (record.whole, record.known)) else {
                continue;
            };
            if whole {
                // What was gathered until now was gathered under the old terms.
                self.deposit(key, 0.0, Mode::Whole, table, now);
            } else if known && factor < old.factor {
                // Some of it is set aside from now on: the ledger counts anew what there is.
                self.give_back(key, table, now, |_| 0.0, false);
            }
        }
        table.set_terms(Terms { share, factor, ..table.terms() });
    }

    /// Another data plane wants of a client whose whole bucket is here; or the ledger does not grant what is here.
    fn recalled(&mut self, key: u64, may_keep: bool, table: &BucketTable, now: Nanos) {
        self.tallies.recalls += 1;
        let Some(record) = self.records.get(&key) else {
            self.goes_back(key, 0.0, true);
            return;
        };
        let content = record.place().and_then(|place| table.content(place.bucket, &place.limit, place.kind, now));
        let last_used = content.filter(|content| content.at > record.touched).map_or(record.used, |content| content.at);
        let used = content.is_some_and(|c| c.mode == Mode::Wanted) || now.since(last_used) < IDLE_NS;
        let keep = used && may_keep;
        self.give_back(key, table, now, move |tokens| if keep { (tokens / 2.0).floor() } else { 0.0 }, !used);
    }

    fn granted(&mut self, grant: &Grant, table: &BucketTable, now: Nanos) {
        let gives = grant.tokens > 0.0 || grant.whole;
        self.tallies.grants += u64::from(gives);
        self.tallies.refusals += u64::from(!gives && grant.remember.is_none());
        match (self.records.get_mut(&grant.key), grant.remember) {
            (None, Some(client)) => {
                if self.records.len() >= self.most {
                    self.make_room(table, now);
                }
                self.records.insert(grant.key, Record::remembered(client));
            }
            (None, None) => {
                self.forgotten.remove(&grant.key);
                self.goes_back(grant.key, grant.tokens.max(0.0), true);
            }
            (Some(_), Some(_)) => {}
            (Some(record), None) if gives => {
                record.answered(now, true);
                record.dry_until = None;
                record.whole = grant.whole;
                let mode = if grant.whole { Mode::Whole } else { Mode::Part };
                self.deposit(grant.key, grant.tokens.max(0.0), mode, table, now);
                self.look(grant.key, now.plus(IDLE_NS));
            }
            (Some(record), None) => {
                record.answered(now, false);
                if !record.whole {
                    self.give_back_fraction(grant.key, table, now);
                    let Some(record) = self.records.get_mut(&grant.key) else { return };
                    let until = now.plus(grant.retry_ns);
                    record.dry_until = Some(until);
                    self.deposit(grant.key, 0.0, Mode::Dry, table, now);
                    self.look(grant.key, until);
                    self.look(grant.key, now.plus(IDLE_NS));
                }
            }
        }
    }

    /// Parts of a token, which standing shares leave, serve nobody here: several data planes may have a whole one
    /// together.
    fn give_back_fraction(&mut self, key: u64, table: &BucketTable, now: Nanos) {
        let place = self.records.get(&key).and_then(Record::place);
        let content = place.and_then(|place| table.content(place.bucket, &place.limit, place.kind, now));
        if content.is_some_and(|content| content.tokens.fract() > FRACTION) {
            self.give_back(key, table, now, f64::floor, false);
        }
    }

    fn deposit(&mut self, key: u64, tokens: f64, mode: Mode, table: &BucketTable, now: Nanos) {
        let Some(record) = self.records.get_mut(&key) else { return };
        let Some(place) = record.place() else { return };
        let before = table.content(place.bucket, &place.limit, place.kind, now);
        if let Some(used) = before.filter(|content| content.at > record.touched) {
            record.used = used.at;
        }
        record.touched = table.deposit(place.bucket, &place.limit, place.kind, tokens, mode, now).at;
    }
}
