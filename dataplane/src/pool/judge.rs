//! Ejecting backends of a pool: by what a request just met with, and by a review once a second.

use std::{
    cmp::Reverse,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    Backend, Pool, may_take,
    outlier::{OutlierRules, Reason, ServerErrors, Tally},
};
use crate::{clock::Nanos, traffic::Failure};

/// That something has changed about who is ejected.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It gets no requests for a while.
    Ejected {
        /// Who.
        backend: Arc<Backend>,
        /// Why.
        reason: Reason,
        /// How long, in nanoseconds.
        lasts_ns: u64,
    },
    /// It gets requests again.
    Returned(Arc<Backend>),
    /// So few are left that judgements are ignored, or no longer.
    Panic(bool),
}

/// What pools that follow each other share about ejections.
#[derive(Debug, Default)]
pub(super) struct Court {
    /// Judgements are ignored: too few backends would be left.
    panic: AtomicBool,
    /// Held while an ejection is decided on, so that two at once do not exceed what is allowed.
    session: Mutex<()>,
}

impl Court {
    pub(super) fn is_panic(&self) -> bool {
        self.panic.load(Relaxed)
    }

    fn session(&self) -> MutexGuard<'_, ()> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// A request to `backend` failed; a verdict if that ejects it.
    pub fn failed(
        &self,
        backend: &Arc<Backend>,
        failure: Failure,
        now: Nanos,
        rules: &OutlierRules,
    ) -> Option<Verdict> {
        backend.state.traffic.failed(failure);
        let reason = if failure == Failure::Connect { Reason::Unreachable } else { Reason::Failures };
        self.strike(backend, reason, now, rules)
    }

    /// `backend` answered with this status; a verdict if that ejects it. `now` is asked only where the time matters.
    pub fn answered(
        &self,
        backend: &Arc<Backend>,
        status: u16,
        now: impl FnOnce() -> Nanos,
        rules: &OutlierRules,
    ) -> Option<Verdict> {
        backend.state.traffic.answered(status);
        if status >= 500 && rules.server_errors == ServerErrors::Always {
            return self.strike(backend, Reason::Failures, now(), rules);
        }
        backend.state.succeeded();
        None
    }

    /// Looks at how every backend did, forgets old ejections and notices the end of others. For one thread, once a second.
    pub fn review(&self, now: Nanos, rules: &OutlierRules) -> Vec<Verdict> {
        let returned = self.backends.iter().filter(|backend| backend.state.ejection.has_ended(now));
        let returned: Vec<_> = returned.cloned().inspect(|backend| ignore(backend, rules)).collect();
        let mut verdicts: Vec<_> = returned.into_iter().map(Verdict::Returned).collect();
        verdicts.extend(self.eject_outliers(now, rules));
        verdicts.extend(self.panic_changed(now, rules));
        verdicts
    }

    /// Whether so few backends are left that judgements are ignored.
    pub fn is_panic(&self) -> bool {
        self.court.is_panic()
    }

    fn strike(&self, backend: &Arc<Backend>, reason: Reason, now: Nanos, rules: &OutlierRules) -> Option<Verdict> {
        if !backend.state.strike(now, rules) {
            return None;
        }
        self.eject(backend, reason, now, rules)
    }

    fn eject(&self, backend: &Arc<Backend>, reason: Reason, now: Nanos, rules: &OutlierRules) -> Option<Verdict> {
        let _session = self.court.session();
        if reason.is_judgement() && !rules.may_eject(self.ejected(now), self.candidates.len()) {
            return None;
        }
        let lasts_ns = backend.state.eject(reason, now, rules)?;
        Some(Verdict::Ejected { backend: backend.clone(), reason, lasts_ns })
    }

    /// Candidates that are ejected now.
    fn ejected(&self, now: Nanos) -> usize {
        self.candidates.iter().filter(|backend| backend.state.ejected(now).is_some()).count()
    }

    fn eject_outliers(&self, now: Nanos, rules: &OutlierRules) -> Vec<Verdict> {
        // Who takes no requests is not watched, and begins anew when it does.
        self.backends.iter().filter(|backend| !may_take(backend)).for_each(|backend| ignore(backend, rules));
        let tallies: Vec<_> = self.candidates.iter().map(|backend| recent(backend, now, rules)).collect();
        let all = tallies.iter().fold(Tally::default(), |sum, tally| sum.plus(*tally));
        let mut outliers: Vec<_> =
            self.candidates.iter().zip(tallies).filter(|(_, own)| rules.is_outlier(*own, all.minus(*own))).collect();
        // The worst first: not all of them may be allowed to go.
        outliers.sort_by_key(|(_, own)| Reverse(own.failures * 1000 / own.requests.max(1)));
        outliers.into_iter().filter_map(|(backend, _)| self.eject(backend, Reason::SuccessRate, now, rules)).collect()
    }

    fn panic_changed(&self, now: Nanos, rules: &OutlierRules) -> Option<Verdict> {
        let panic = rules.is_panic(self.ejected(now), self.candidates.len());
        (self.court.panic.swap(panic, Relaxed) != panic).then_some(Verdict::Panic(panic))
    }
}

/// What a backend did within the window; nothing as long as it is ejected.
fn recent(backend: &Backend, now: Nanos, rules: &OutlierRules) -> Tally {
    let state = &backend.state;
    if state.ejected(now).is_some() {
        ignore(backend, rules);
        return Tally::default();
    }
    let (total, mut watch) = (Tally::of(&state.traffic, rules.server_errors), state.watch());
    if watch.is_calm(rules.window_secs) {
        state.ejection.forget_one();
    }
    watch.second(total, rules.window_secs)
}

/// What the backend did up to now counts no longer.
fn ignore(backend: &Backend, rules: &OutlierRules) {
    backend.state.watch().restart(Tally::of(&backend.state.traffic, rules.server_errors));
}
