//! The state of the whole system.

use std::io::Write;

use anyhow::Result;
use balancer_proto::v1::{ReplicaReport, ReplicaStatus, Status};
use serde::Serialize;

use crate::{
    fault::one_line,
    table::{Row, Widths, write_rows},
    view::{backend::BackendRow, ledger::LedgerView, span},
};

/// The system as one control plane sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StatusView {
    pub(crate) version: String,
    pub(crate) uptime_ms: u64,
    pub(crate) database: String,
    pub(crate) database_available: bool,
    pub(crate) store_id: String,
    pub(crate) revision: u64,
    pub(crate) limits: u64,
    /// Why changes do not arrive from the database; empty while they do.
    pub(crate) fault: String,
    /// Limits that hold for all data planes together.
    pub(crate) ledger: LedgerView,
    pub(crate) replicas: Vec<ReplicaRow>,
    pub(crate) backends: Vec<BackendRow>,
}

/// One data plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ReplicaRow {
    pub(crate) replica_id: String,
    version: String,
    revision: u64,
    /// Revisions it has yet to acknowledge.
    pub(crate) behind: u64,
    connected_ms: u64,
    pub(crate) last_seen_ms: u64,
    last_refusal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<ReportView>,
}

/// A data plane's figures about itself, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReportView {
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) server_errors: u64,
    pub(crate) in_flight: u64,
    pub(crate) buckets: u64,
    evictions: u64,
    ejected_backends: u64,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        let replica = |r| ReplicaRow::new(r, status.revision);
        Self {
            version: status.version,
            uptime_ms: status.uptime_ms,
            database: status.database,
            database_available: status.database_available,
            store_id: status.store_id,
            revision: status.revision,
            limits: status.limits,
            fault: status.fault,
            ledger: status.ledger.unwrap_or_default().into(),
            replicas: status.replicas.into_iter().map(replica).collect(),
            backends: status.backends.into_iter().map(Into::into).collect(),
        }
    }
}

impl ReplicaRow {
    fn new(replica: ReplicaStatus, current: u64) -> Self {
        Self {
            replica_id: replica.replica_id,
            version: replica.version,
            revision: replica.revision,
            behind: current.saturating_sub(replica.revision),
            connected_ms: replica.connected_ms,
            last_seen_ms: replica.last_seen_ms,
            last_refusal: replica.last_refusal,
            report: replica.report.map(Into::into),
        }
    }
}

impl From<ReplicaReport> for ReportView {
    fn from(report: ReplicaReport) -> Self {
        Self {
            requests: report.requests,
            refused: report.refused,
            server_errors: report.server_errors,
            in_flight: report.in_flight,
            buckets: report.buckets,
            evictions: report.evictions,
            ejected_backends: report.ejected_backends.into(),
        }
    }
}

impl Row for ReplicaRow {
    const TITLES: &'static [&'static str] = &[
        "REPLICA",
        "VERSION",
        "REVISION",
        "BEHIND",
        "LAST SEEN",
        "REQUESTS",
        "REFUSED",
        "ERRORS",
        "IN FLIGHT",
        "EJECTED",
        "LAST REFUSAL",
    ];

    fn cells(&self) -> Vec<String> {
        let figure = |of: fn(&ReportView) -> u64| self.report.as_ref().map_or("-".into(), |r| of(r).to_string());
        vec![
            self.replica_id.clone(),
            self.version.clone(),
            self.revision.to_string(),
            self.behind.to_string(),
            format!("{} ago", span(self.last_seen_ms)),
            figure(|r| r.requests),
            figure(|r| r.refused),
            figure(|r| r.server_errors),
            figure(|r| r.in_flight),
            figure(|r| r.ejected_backends),
            if self.last_refusal.is_empty() { "-".into() } else { self.last_refusal.clone() },
        ]
    }
}

impl StatusView {
    /// For people.
    pub(crate) fn write(&self, out: &mut impl Write) -> Result<()> {
        self.write_head(out)?;
        writeln!(out)?;
        write_section(out, &self.replicas, "no data plane is connected")?;
        writeln!(out)?;
        write_section(out, &self.backends, "no backends: add one with `balancerctl backends add URL`")
    }

    /// The control plane itself.
    pub(crate) fn write_head(&self, out: &mut impl Write) -> Result<()> {
        let available = if self.database_available { "available" } else { "DOES NOT ANSWER" };
        writeln!(out, "control plane  {}, up {}", self.version, span(self.uptime_ms))?;
        writeln!(out, "database       {}, {available}, store {}", self.database, self.store_id)?;
        writeln!(out, "revision       {}", self.revision)?;
        writeln!(out, "limits         {}", self.limits)?;
        writeln!(out, "authority      {}", one_line(&self.ledger.sentence()))?;
        if !self.fault.is_empty() {
            writeln!(out, "fault          {}", self.fault)?;
        }
        Ok(())
    }
}

/// A table, or a sentence where it would be empty.
pub(crate) fn write_section<R: Row>(out: &mut impl Write, rows: &[R], empty: &str) -> Result<()> {
    if rows.is_empty() {
        return Ok(writeln!(out, "{empty}")?);
    }
    Ok(write_rows(out, &mut Widths::default(), rows, true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_who_is_behind() {
        let report =
            ReplicaReport { requests: 7, refused: 2, in_flight: 1, ejected_backends: 2, ..ReplicaReport::default() };
        let replica = ReplicaStatus {
            replica_id: "dp-1".into(),
            version: "0.1.0".into(),
            revision: 9,
            last_seen_ms: 300,
            report: Some(report),
            ..ReplicaStatus::default()
        };
        let status = Status { revision: 12, database: "sqlite".into(), replicas: vec![replica], ..Status::default() };
        let mut out = Vec::new();
        StatusView::from(status).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|l| l.starts_with("dp-1")).unwrap();
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(cells, ["dp-1", "0.1.0", "9", "3", "300ms ago", "7", "2", "0", "1", "2", "-"]);
        assert!(text.contains("DOES NOT ANSWER"), "{text}");
        assert!(text.contains("no backends"), "{text}");
    }
}
