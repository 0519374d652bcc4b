//! What each backend did and how it stands, on the metrics page.

use std::fmt;

use super::page::{Count, Level, Page, Sample};
use crate::{
    clock,
    pool::{Backend, Pool, Reason},
    traffic::Failure,
};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Backends with their URL, which is their label: `host:port` alone need not be one backend.
struct Backends<'a>(Vec<(String, &'a Backend)>);

pub(super) fn backends(page: &mut Page, pool: &Pool) -> fmt::Result {
    let (now, all) = (clock::now(), Backends::of(pool));
    counted(page, &all)?;
    all.each(page, "backend_in_flight", "Requests a backend is serving now", |backend| {
        Level(backend.state.in_flight().into())
    })?;
    let help = "1 if new requests may go to a backend: not draining, not unhealthy, not ejected";
    all.each(page, "backend_takes_requests", help, |backend| yes(pool.takes_requests(backend, now)))?;
    all.each_by(page, "backend_ejected", "1 while a backend is ejected for this reason", "reason", |backend| {
        let current = backend.state.ejected(now);
        Reason::ALL.map(|reason| (reason.label(), yes(current == Some(reason))))
    })?;
    let help = "1 while so few backends are left that ejections of those that answer are ignored";
    page.gauge("pool_panic", help, yes(pool.is_panic()).0)
}

fn counted(page: &mut Page, all: &Backends) -> fmt::Result {
    all.each_by(page, "backend_requests", "Answers of a backend, by status class", "class", |backend| {
        CLASSES.into_iter().zip(backend.state.traffic.answers().into_iter().map(Count))
    })?;
    all.each(page, "backend_connect_failures", "Connections to a backend that could not be made", |backend| {
        Count(backend.state.traffic.failures(Failure::Connect))
    })?;
    all.each_by(page, "backend_failures", "Requests a backend failed, by how", "reason", |backend| {
        Failure::ALL.map(|failure| (failure.label(), Count(backend.state.traffic.failures(failure))))
    })?;
    all.each_by(page, "backend_ejections", "Times a backend was ejected, by why", "reason", |backend| {
        Reason::ALL.map(|reason| (reason.label(), Count(backend.state.ejections(reason))))
    })
}

fn yes(is: bool) -> Level {
    Level(f64::from(u8::from(is)))
}

impl<'a> Backends<'a> {
    fn of(pool: &'a Pool) -> Self {
        Self(pool.backends().iter().map(|backend| (backend.url(), &**backend)).collect())
    }

    /// One value of each.
    fn each<S: Sample>(
        &self,
        page: &mut Page,
        name: &'static str,
        help: &str,
        value: impl Fn(&Backend) -> S,
    ) -> fmt::Result {
        page.family(name, help, self.0.iter().map(|(url, backend)| ([("backend", url.as_str())], value(backend))))
    }

    /// Values of each, told apart by one more label.
    fn each_by<S: Sample, V: IntoIterator<Item = (&'static str, S)>>(
        &self,
        page: &mut Page,
        name: &'static str,
        help: &str,
        label: &str,
        values: impl Fn(&Backend) -> V,
    ) -> fmt::Result {
        let samples = self.0.iter().flat_map(|(url, backend)| {
            let labels = move |value| [("backend", url.as_str()), (label, value)];
            values(backend).into_iter().map(move |(value, sample)| (labels(value), sample))
        });
        page.family(name, help, samples)
    }
}
