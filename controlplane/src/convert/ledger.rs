//! The ledger as people see it.

use balancer_proto::v1;

use super::limit_scope;
use crate::{
    domain::LimitScope,
    explain::{Applied, Whose},
    keeper::Picture,
    ledger::{Holds, MemberView, Stand},
};

/// The ledger as a whole; `None`: it is not kept here. `address`: where the authority is.
pub(crate) fn ledger_status(picture: Option<&Picture>, address: &str) -> v1::LedgerStatus {
    let address = address.to_owned();
    let Some(picture) = picture else { return v1::LedgerStatus { address, ..v1::LedgerStatus::default() } };
    v1::LedgerStatus {
        authority: true,
        address,
        epoch: picture.epoch,
        recovering: picture.is_recovering,
        accounts: picture.accounts as u64,
        factor: picture.factor,
        members: picture.members.iter().map(member).collect(),
    }
}

fn member(member: &MemberView) -> v1::LeaseHolder {
    let standing = match member.stand {
        Stand::Leased => v1::LeaseStanding::Leased,
        Stand::Closed => v1::LeaseStanding::Closed,
        Stand::Lost => v1::LeaseStanding::Lost,
    };
    v1::LeaseHolder { replica_id: member.replica_id.clone(), standing: standing.into(), share: member.share }
}

/// What a data plane may hold.
pub(crate) fn holder(holds: &Holds) -> v1::TokenHolder {
    let Holds { replica_id, whole, tokens, idle, lease_left } = holds;
    v1::TokenHolder {
        replica_id: replica_id.clone(),
        whole: *whole,
        at_most: *tokens,
        idle: *idle,
        lease_left_ms: u64::try_from(lease_left.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A client's limit, and nothing of who holds its tokens.
pub(crate) fn applied(applied: &Applied, scope: LimitScope) -> v1::ExplainClientResponse {
    let whose = match (applied.whose, applied.limit) {
        (_, None) => v1::AppliedLimit::Unlimited,
        (Whose::Own, Some(_)) => v1::AppliedLimit::Own,
        (Whose::Default, Some(_)) => v1::AppliedLimit::Default,
    };
    v1::ExplainClientResponse {
        applied: whose.into(),
        bucket: applied.bucket.clone(),
        capacity: applied.limit.map(|limit| limit.capacity()),
        rate_per_sec: applied.limit.map(|limit| limit.rate_per_sec()),
        scope: limit_scope(scope).into(),
        ..v1::ExplainClientResponse::default()
    }
}
