//! What each backend did and how it stands, on the metrics page.

use std::{fmt, sync::Arc};

use prometheus_client::metrics::MetricType;

use super::page::Page;
use crate::{
    clock::{self, Nanos},
    pool::{Backend, Pool, Reason},
    traffic::Failure,
};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(super) fn backends(page: &mut Page, pool: &Pool) -> fmt::Result {
    counted(page, pool.backends())?;
    let now = clock::now();
    gauges(page, "backend_in_flight", "Requests a backend is serving now", pool, |backend| {
        u64::from(backend.state.in_flight())
    })?;
    gauges(
        page,
        "backend_takes_requests",
        "1 if new requests may go to a backend: not draining, not unhealthy, not ejected",
        pool,
        |backend| u64::from(pool.takes_requests(backend, now)),
    )?;
    ejected(page, pool, now)?;
    let panic = f64::from(u8::from(pool.is_panic()));
    page.gauge("pool_panic", "1 while so few backends are left that ejections of those that answer are ignored", panic)
}

fn counted(page: &mut Page, backends: &[Arc<Backend>]) -> fmt::Result {
    counters(page, "backend_requests", "Answers of a backend, by status class", "class", backends, |backend| {
        CLASSES.into_iter().zip(backend.state.traffic.answers()).collect()
    })?;
    page.counters(
        "backend_connect_failures",
        "Connections to a backend that could not be made",
        "backend",
        backends.iter().map(|b| (b.authority.as_str(), b.state.traffic.failures(Failure::Connect))),
    )?;
    counters(page, "backend_failures", "Requests a backend failed, by how", "reason", backends, |backend| {
        Failure::ALL.map(|failure| (failure.label(), backend.state.traffic.failures(failure))).into()
    })?;
    counters(page, "backend_ejections", "Times a backend was ejected, by why", "reason", backends, |backend| {
        Reason::ALL.map(|reason| (reason.label(), backend.state.ejections(reason))).into()
    })
}

fn ejected(page: &mut Page, pool: &Pool, now: Nanos) -> fmt::Result {
    let help = "1 while a backend is ejected for this reason";
    let mut family = page.metric("backend_ejected", help, MetricType::Gauge)?;
    for backend in pool.backends() {
        let current = backend.state.ejected(now);
        for reason in Reason::ALL {
            let labels = [("backend", backend.authority.as_str()), ("reason", reason.label())];
            family.encode_family(&labels)?.encode_gauge(&f64::from(u8::from(current == Some(reason))))?;
        }
    }
    Ok(())
}

fn gauges(
    page: &mut Page,
    name: &'static str,
    help: &str,
    pool: &Pool,
    value: impl Fn(&Backend) -> u64,
) -> fmt::Result {
    page.gauges(name, help, "backend", pool.backends().iter().map(|b| (b.authority.as_str(), value(b))))
}

/// Counters by backend and one more label.
fn counters(
    page: &mut Page,
    name: &'static str,
    help: &str,
    label: &str,
    backends: &[Arc<Backend>],
    values: impl Fn(&Backend) -> Vec<(&'static str, u64)>,
) -> fmt::Result {
    let mut family = page.metric(name, help, MetricType::Counter)?;
    for backend in backends {
        for (value, count) in values(backend) {
            let labels = [("backend", backend.authority.as_str()), (label, value)];
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], u64, u64>(&count, None)?;
        }
    }
    Ok(())
}
