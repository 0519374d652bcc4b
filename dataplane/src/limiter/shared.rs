//! Buckets whose tokens data planes share: what the request path takes from them, and what the lease puts in.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    BucketTable, Decision, LimitKind,
    group::Place,
    level::Level,
    slot::Name,
    terms::{Mode, Terms},
};
use crate::{clock::Nanos, limit::Limit};

/// What came of taking a token of a shared bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// Whether there was one.
    pub decision: Decision,
    /// What else is to be done.
    pub need: Need,
}

/// What is to be done about a client's tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Ask for more; the request has its token.
    Ask,
    /// Ask for more, and wait for the answer.
    AskAndWait,
    /// The client is new here, with so many tokens of the standing share: ask, and wait for the answer.
    First(f64),
    /// Wait: somebody has asked.
    Wait,
}

/// What is in a shared bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content {
    /// Tokens, in requests.
    pub tokens: f64,
    /// Who refills it.
    pub mode: Mode,
    /// When it last changed: an admitted request, a deposit, a withdrawal.
    pub at: Nanos,
}

impl From<Level> for Content {
    fn from(level: Level) -> Self {
        Self { tokens: level.tokens, mode: level.mode, at: level.at }
    }
}

impl BucketTable {
    /// The terms that shared buckets go by.
    pub fn terms(&self) -> Terms {
        self.terms.load()
    }

    /// Changes them. For one thread.
    pub fn set_terms(&self, terms: Terms) {
        self.terms.store(terms);
    }

    /// Takes one token from a client's shared bucket. `is_marked`: whether the client is known not to be free, asked
    /// only when nothing else is known of it here.
    pub fn take_shared(
        &self,
        key: u64,
        limit: &Limit,
        kind: LimitKind,
        now: Nanos,
        is_marked: impl Fn() -> bool,
    ) -> Taken {
        let (group, name) = (self.group(key), Name::new(key, kind));
        let known = |terms: &Terms| group.find(name).and_then(|slot| slot.take_shared(name, limit, terms, now));
        if let Some(taken) = known(&self.terms()) {
            return taken;
        }
        let is_marked = is_marked();
        // After the question: who asks may hold off changes of both from then on.
        let terms = self.terms();
        // Of who is not free there is nothing, but what was made of this data plane's share since it is on its own.
        let own_since = terms.alone_from.max(terms.forgot_at);
        let (share, at) = if is_marked { (0.0, now.min(own_since)) } else { (limit.capacity() * terms.share, now) };
        let first = Level { tokens: share, at, mode: Mode::Asked };
        let (before, _, place) = group.change(name, limit, now, |before| match before {
            // Another thread was faster.
            Some(level) if !matches!(level.mode, Mode::Local | Mode::Free) => level,
            _ => first.settled(limit, &terms, now),
        });
        place.into_iter().for_each(|place| self.count(place));
        let is_first = before.is_none_or(|level| matches!(level.mode, Mode::Local | Mode::Free));
        // With the ledger silent the standing share decides at once; it hears of it when it is back.
        let decision = Level { tokens: 0.0, at: now, ..first }.decision(false, limit, now);
        let taken = known(&terms).unwrap_or(Taken { decision, need: Need::Wait });
        if is_first { Taken { need: Need::First(share), ..taken } } else { taken }
    }

    /// Lets a client's standing share decide, because the ledger did not answer in time.
    pub fn give_up(&self, key: u64, kind: LimitKind) {
        let unblocked = |level: Level| match level.mode {
            Mode::Asked => level.changed(level.tokens, Mode::Low),
            _ => level,
        };
        self.group(key).change_known(Name::new(key, kind), unblocked);
    }

    /// What is in a client's shared bucket; `None`: it has none.
    pub fn content(&self, key: u64, limit: &Limit, kind: LimitKind, now: Nanos) -> Option<Content> {
        let name = Name::new(key, kind);
        let level = self.group(key).find(name)?.level(name)?;
        let settled = level.settled(limit, &self.terms(), now);
        (!matches!(level.mode, Mode::Local | Mode::Free)).then(|| Level { at: level.at, ..settled }.into())
    }

    /// Adds tokens to a shared bucket and says who refills it from now on.
    pub fn deposit(&self, key: u64, limit: &Limit, kind: LimitKind, tokens: f64, mode: Mode, now: Nanos) -> Content {
        self.change(key, limit, kind, now, |before| before.changed(before.tokens + tokens, mode)).1
    }

    /// Takes all tokens but `keep(tokens)` of them out of a shared bucket; from now on the ledger refills it. Returns
    /// what was taken out and what is left in it.
    pub fn withdraw(
        &self,
        key: u64,
        limit: &Limit,
        kind: LimitKind,
        keep: impl Fn(f64) -> f64,
        now: Nanos,
    ) -> (f64, Content) {
        // What is owed stays.
        let left = |tokens: f64| if tokens > 0.0 { keep(tokens).clamp(0.0, tokens) } else { tokens };
        let (before, after) =
            self.change(key, limit, kind, now, |before| before.changed(left(before.tokens), Mode::Part));
        ((before.tokens - after.tokens).max(0.0), after)
    }

    /// The client is free again: what is here of it means nothing any more.
    pub fn release(&self, key: u64, kind: LimitKind) {
        self.group(key).change_known(Name::new(key, kind), |before| before.changed(0.0, Mode::Free));
    }

    /// As [`Self::release`], where what is here of the client is lost, which [`Self::evictions`] counts.
    pub fn evict(&self, key: u64, kind: LimitKind) {
        self.release(key, kind);
        self.counters.evictions.fetch_add(1, Relaxed);
    }

    fn change(
        &self,
        key: u64,
        limit: &Limit,
        kind: LimitKind,
        now: Nanos,
        change: impl Fn(Level) -> Level,
    ) -> (Content, Content) {
        let terms = self.terms();
        // It may have had to give way to another client: then what it held is gone.
        let empty = Level { tokens: 0.0, at: now, mode: Mode::Part };
        let settled = |level: Option<Level>| match level {
            Some(level) if !matches!(level.mode, Mode::Local | Mode::Free) => level.settled(limit, &terms, now),
            _ => empty,
        };
        let changed = |before| change(settled(before));
        let (before, after, place) = self.group(key).change(Name::new(key, kind), limit, now, changed);
        place.into_iter().for_each(|place| self.count(place));
        (settled(before).into(), after.into())
    }

    fn count(&self, place: Place) {
        match place {
            Place::New => {
                self.counters.buckets.fetch_add(1, Relaxed);
            }
            Place::Evicted { full } => {
                self.counters.evictions.fetch_add(u64::from(!full), Relaxed);
            }
        }
    }
}
