//! One client: its limit, and who holds its tokens.

use std::io::Write;

use anyhow::Result;
use balancer_proto::v1::{AppliedLimit, ExplainClientResponse, LimitScope, TokenHolder};
use serde::Serialize;

use crate::{
    fault::one_line,
    table::Row,
    view::{ledger::LedgerView, number, span, status::write_section},
};

/// A client as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ExplainView {
    client: String,
    /// `own`, `default` or `unlimited`.
    applied: &'static str,
    bucket: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::serialize_some")]
    capacity: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::serialize_some")]
    rate_per_sec: Option<f64>,
    /// `global` or `local`.
    scope: &'static str,
    verdict: String,
    /// Only the authority knows the rest.
    ledger: LedgerView,
    free: bool,
    #[serde(serialize_with = "number::serialize")]
    available: f64,
    waiting: u32,
    holders: Vec<HolderRow>,
}

/// A data plane that may hold tokens of the client.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct HolderRow {
    replica_id: String,
    whole: bool,
    #[serde(serialize_with = "number::serialize")]
    at_most: f64,
    idle: bool,
    lease_left_ms: u64,
}

impl ExplainView {
    /// `client` is what was asked for.
    pub(crate) fn new(client: String, answer: ExplainClientResponse) -> Self {
        let applied = match answer.applied() {
            AppliedLimit::Own => "own",
            AppliedLimit::Default => "default",
            AppliedLimit::Unlimited => "unlimited",
            AppliedLimit::Unspecified => "unknown",
        };
        let scope = if answer.scope() == LimitScope::Global { "global" } else { "local" };
        Self {
            client,
            applied,
            bucket: answer.bucket,
            capacity: answer.capacity,
            rate_per_sec: answer.rate_per_sec,
            scope,
            verdict: answer.verdict,
            ledger: answer.ledger.unwrap_or_default().into(),
            free: answer.free,
            available: answer.available,
            waiting: answer.waiting,
            holders: answer.holders.into_iter().map(Into::into).collect(),
        }
    }

    /// For people.
    pub(crate) fn write(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "client     {}", one_line(&self.client))?;
        writeln!(out, "limit      {}", one_line(&self.limit()))?;
        writeln!(out, "authority  {}", one_line(&self.ledger.sentence()))?;
        writeln!(out, "now        {}", one_line(&self.verdict))?;
        if self.is_counted_here() && !self.free {
            let waiting = if self.waiting > 0 { format!(", {} data planes wait", self.waiting) } else { String::new() };
            writeln!(out, "ledger     {:.1} tokens to give out{waiting}", self.available)?;
            writeln!(out)?;
            write_section(out, &self.holders, "no data plane holds any")?;
        }
        Ok(())
    }

    fn limit(&self) -> String {
        let (Some(capacity), Some(rate)) = (self.capacity, self.rate_per_sec) else { return "none: unlimited".into() };
        let whose = if self.applied == "own" { "its own" } else { "the default" };
        let scope = if self.scope == "global" { "for all data planes together" } else { "for each data plane alone" };
        format!("{whose} ({}): capacity {capacity}, {rate} per second, {scope}", self.bucket)
    }

    fn is_counted_here(&self) -> bool {
        self.ledger.authority && self.scope == "global" && self.capacity.is_some()
    }
}

impl From<TokenHolder> for HolderRow {
    fn from(holder: TokenHolder) -> Self {
        let TokenHolder { replica_id, whole, at_most, idle, lease_left_ms } = holder;
        Self { replica_id, whole, at_most, idle, lease_left_ms }
    }
}

impl Row for HolderRow {
    const TITLES: &'static [&'static str] = &["REPLICA", "HOLDS", "AT MOST", "IN USE", "LEASE LEFT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.replica_id.clone(),
            if self.whole { "the whole bucket" } else { "a part" }.into(),
            format!("{:.1}", self.at_most),
            if self.idle { "no" } else { "yes" }.into(),
            span(self.lease_left_ms),
        ]
    }
}

#[cfg(test)]
mod tests {
    use balancer_proto::v1::LedgerStatus;

    use super::*;

    fn text(answer: ExplainClientResponse) -> String {
        let mut out = Vec::new();
        ExplainView::new("gold".into(), answer).write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_who_holds_what() {
        let holder = TokenHolder { replica_id: "dp-1".into(), at_most: 2.0, lease_left_ms: 900, ..Default::default() };
        let ledger = LedgerStatus { authority: true, epoch: 7, accounts: 1, factor: 1.0, ..Default::default() };
        let answer = ExplainClientResponse {
            applied: AppliedLimit::Own.into(),
            bucket: "gold".into(),
            capacity: Some(5.0),
            rate_per_sec: Some(0.5),
            scope: LimitScope::Global.into(),
            ledger: Some(ledger),
            available: 0.25,
            holders: vec![holder],
            waiting: 1,
            verdict: "refused: over the limit".into(),
            ..Default::default()
        };
        let expected = "client     gold\n\
            limit      its own (gold): capacity 5, 0.5 per second, for all data planes together\n\
            authority  here, epoch 7, 0 leases, 1 clients in use\n\
            now        refused: over the limit\n\
            ledger     0.2 tokens to give out, 1 data planes wait\n\n\
            REPLICA  HOLDS   AT MOST  IN USE  LEASE LEFT\n\
            dp-1     a part  2.0      yes     900ms\n";
        assert_eq!(text(answer), expected);
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_hold() {
        let answer = ExplainClientResponse { applied: AppliedLimit::Unlimited.into(), ..Default::default() };
        assert!(text(answer).contains("limit      none: unlimited\nauthority  not known\n"));
    }
}
