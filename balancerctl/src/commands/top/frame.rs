//! One picture of `top`.

use std::io::Write;

use anyhow::Result;

use crate::{
    table::Row,
    view::{
        span,
        status::{ReplicaRow, ReportView, StatusView, write_section},
    },
};

/// A picture: how things are, and what happened since an earlier one.
pub(super) struct Frame<'a> {
    now: &'a StatusView,
    replicas: Vec<Rates>,
}

/// What a data plane does per second.
struct Rates {
    replica_id: String,
    behind: u64,
    last_seen_ms: u64,
    in_flight: Option<u64>,
    buckets: Option<u64>,
    /// Unknown in the first picture.
    per_sec: Option<PerSec>,
}

struct PerSec {
    requests: f64,
    refused: f64,
    server_errors: f64,
}

impl<'a> Frame<'a> {
    pub(super) fn new(before: Option<&StatusView>, now: &'a StatusView) -> Self {
        let replicas = now.replicas.iter().map(|replica| {
            let earlier = before.and_then(|b| b.replicas.iter().find(|r| r.replica_id == replica.replica_id));
            let elapsed_ms = before.map_or(0, |b| now.uptime_ms.saturating_sub(b.uptime_ms));
            Rates::new(earlier, replica, elapsed_ms)
        });
        Self { now, replicas: replicas.collect() }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> Result<()> {
        self.now.write_head(out)?;
        writeln!(out)?;
        write_section(out, &self.replicas, "no data plane is connected")?;
        writeln!(out)?;
        write_section(out, &self.now.backends, "no backends")
    }
}

impl Rates {
    fn new(before: Option<&ReplicaRow>, now: &ReplicaRow, elapsed_ms: u64) -> Self {
        let reports = before.and_then(|b| b.report).zip(now.report);
        Self {
            replica_id: now.replica_id.clone(),
            behind: now.behind,
            last_seen_ms: now.last_seen_ms,
            in_flight: now.report.map(|r| r.in_flight),
            buckets: now.report.map(|r| r.buckets),
            per_sec: reports.filter(|_| elapsed_ms > 0).map(|(before, now)| PerSec::new(before, now, elapsed_ms)),
        }
    }
}

impl PerSec {
    fn new(before: ReportView, now: ReportView, elapsed_ms: u64) -> Self {
        // A restarted data plane counts from 0 again: that is a rate of 0, not of 2^64.
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 * 1000.0 / elapsed_ms as f64;
        Self {
            requests: rate(before.requests, now.requests),
            refused: rate(before.refused, now.refused),
            server_errors: rate(before.server_errors, now.server_errors),
        }
    }
}

impl Row for Rates {
    const TITLES: &'static [&'static str] =
        &["REPLICA", "REQUESTS/S", "REFUSED/S", "ERRORS/S", "IN FLIGHT", "CLIENTS", "BEHIND", "LAST SEEN"];

    fn cells(&self) -> Vec<String> {
        let rate = |of: fn(&PerSec) -> f64| self.per_sec.as_ref().map_or("-".into(), |r| format!("{:.1}", of(r)));
        let figure = |figure: Option<u64>| figure.map_or("-".into(), |f| f.to_string());
        vec![
            self.replica_id.clone(),
            rate(|r| r.requests),
            rate(|r| r.refused),
            rate(|r| r.server_errors),
            figure(self.in_flight),
            figure(self.buckets),
            self.behind.to_string(),
            format!("{} ago", span(self.last_seen_ms)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use balancer_proto::v1::{ReplicaReport, ReplicaStatus, Status};

    use super::*;

    fn status(uptime_ms: u64, requests: u64) -> StatusView {
        let report = Some(ReplicaReport { requests, in_flight: 4, ..ReplicaReport::default() });
        let replica = ReplicaStatus { replica_id: "dp".into(), report, ..ReplicaStatus::default() };
        Status { uptime_ms, replicas: vec![replica], ..Status::default() }.into()
    }

    fn requests_per_sec(before: Option<&StatusView>, now: &StatusView) -> String {
        Frame::new(before, now).replicas[0].cells()[1].clone()
    }

    #[test]
    fn rates_are_per_second_of_the_control_planes_clock() {
        let (first, second) = (status(1000, 100), status(3000, 150));
        assert_eq!(requests_per_sec(None, &first), "-");
        assert_eq!(requests_per_sec(Some(&first), &second), "25.0");
        assert_eq!(requests_per_sec(Some(&first), &first), "-");
    }

    #[test]
    fn a_restarted_replica_has_no_negative_rate() {
        assert_eq!(requests_per_sec(Some(&status(1000, 100)), &status(2000, 3)), "0.0");
    }
}
