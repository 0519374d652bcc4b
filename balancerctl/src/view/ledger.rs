//! Who keeps the ledger of tokens, and how it stands as a whole.

use balancer_proto::v1::{LeaseHolder, LeaseStanding, LedgerStatus};
use serde::Serialize;

use crate::view::number;

/// The ledger as one control plane sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LedgerView {
    /// It is kept by the control plane that was asked; if not, nothing but the address is known.
    pub(crate) authority: bool,
    /// Where it is kept; empty: not known.
    pub(crate) address: String,
    epoch: u64,
    recovering: bool,
    /// Clients whose bucket is not full.
    accounts: u64,
    /// The part of every limit that is not set aside for data planes that were lost.
    #[serde(serialize_with = "number::serialize")]
    factor: f64,
    members: Vec<MemberView>,
}

/// A data plane as the ledger sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct MemberView {
    replica_id: String,
    standing: &'static str,
    #[serde(serialize_with = "number::serialize")]
    share: f64,
}

impl From<LedgerStatus> for LedgerView {
    fn from(status: LedgerStatus) -> Self {
        Self {
            authority: status.authority,
            address: status.address,
            epoch: status.epoch,
            recovering: status.recovering,
            accounts: status.accounts,
            factor: status.factor,
            members: status.members.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<LeaseHolder> for MemberView {
    fn from(member: LeaseHolder) -> Self {
        let standing = match member.standing() {
            LeaseStanding::Leased => "leased",
            LeaseStanding::Closed => "closed",
            LeaseStanding::Lost => "lost",
            LeaseStanding::Unspecified => "unknown",
        };
        Self { replica_id: member.replica_id, standing, share: member.share }
    }
}

impl LedgerView {
    /// In one line.
    pub(crate) fn sentence(&self) -> String {
        match (self.authority, self.address.as_str()) {
            (false, "") => "not known".into(),
            (false, address) => address.into(),
            (true, address) => self.here(address),
        }
    }

    fn here(&self, address: &str) -> String {
        let at = if address.is_empty() { String::new() } else { format!(" ({address})") };
        let leased = self.members.iter().filter(|member| member.standing == "leased").count();
        let mut said = format!("here{at}, epoch {}, {} leases, {} clients in use", self.epoch, leased, self.accounts);
        if self.recovering {
            said.push_str(", WAITS FOR DATA PLANES");
        }
        let aside = (1.0 - self.factor) * 100.0;
        if aside >= 0.5 {
            said.push_str(&format!(", {aside:.0} % OF EVERY LIMIT SET ASIDE for data planes that fell silent"));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(status: LedgerStatus) -> String {
        LedgerView::from(status).sentence()
    }

    #[test]
    fn says_where_and_how() {
        assert_eq!(sentence(LedgerStatus::default()), "not known");
        assert_eq!(sentence(LedgerStatus { address: "http://a:1".into(), ..Default::default() }), "http://a:1");
        let member = |id: &str, standing: LeaseStanding| LeaseHolder {
            replica_id: id.into(),
            standing: standing.into(),
            share: 0.5,
        };
        let members = vec![member("a", LeaseStanding::Leased), member("b", LeaseStanding::Lost)];
        let here = LedgerStatus { authority: true, epoch: 7, accounts: 3, factor: 1.0, members, ..Default::default() };
        assert_eq!(sentence(here.clone()), "here, epoch 7, 1 leases, 3 clients in use");
        let said = sentence(LedgerStatus { address: "http://a:1".into(), factor: 0.5, recovering: true, ..here });
        assert_eq!(
            said,
            "here (http://a:1), epoch 7, 1 leases, 3 clients in use, WAITS FOR DATA PLANES, \
             50 % OF EVERY LIMIT SET ASIDE for data planes that fell silent"
        );
    }
}
