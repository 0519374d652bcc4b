//! Leases.

use balancer_proto::v1 as wire;

use super::Refusal;
use crate::{
    lease::message::{Ask, Grant, Holding, Join, LeaseClient, Marks, NewTerms, Request, Response, Return, Welcome},
    limit::Limit,
};

const NANOS_PER_MILLI: u64 = 1_000_000;

impl From<LeaseClient> for wire::LeaseClient {
    fn from(client: LeaseClient) -> Self {
        let LeaseClient { key, limit, revision } = client;
        Self { key, capacity: limit.capacity(), rate_per_sec: limit.rate_per_sec(), revision }
    }
}

impl TryFrom<wire::LeaseClient> for LeaseClient {
    type Error = Refusal;

    fn try_from(wire: wire::LeaseClient) -> Result<Self, Refusal> {
        let limit = Limit::new(wire.capacity, wire.rate_per_sec).map_err(|error| Refusal(error.to_string()))?;
        Ok(Self { key: wire.key, limit, revision: wire.revision })
    }
}

impl From<Request> for wire::LeaseRequest {
    fn from(request: Request) -> Self {
        Self {
            seq: request.seq,
            acked: request.acked,
            join: request.join.map(Into::into),
            asks: request.asks.into_iter().map(Into::into).collect(),
            returns: request.returns.into_iter().map(Into::into).collect(),
            leaving: request.leaving,
        }
    }
}

impl From<Join> for wire::Join {
    fn from(join: Join) -> Self {
        let Join { replica_id, incarnation, epoch, share, holdings, marks_unsure } = join;
        let holdings = holdings.into_iter().map(Into::into).collect();
        Self { replica_id, incarnation, epoch, share, holdings, more: false, marks_unsure }
    }
}

impl From<Holding> for wire::Holding {
    fn from(holding: Holding) -> Self {
        let Holding { client, tokens, whole, known } = holding;
        Self { client: Some(client.into()), tokens, whole, known }
    }
}

impl From<Ask> for wire::Ask {
    fn from(ask: Ask) -> Self {
        let Ask { client, spent, tokens, want } = ask;
        Self { client: Some(client.into()), spent, tokens, want }
    }
}

impl From<Return> for wire::Return {
    fn from(given_back: Return) -> Self {
        let Return { key, tokens, kept, idle } = given_back;
        Self { key, tokens, kept, idle }
    }
}

impl TryFrom<wire::LeaseResponse> for Response {
    type Error = Refusal;

    fn try_from(wire: wire::LeaseResponse) -> Result<Self, Refusal> {
        Ok(Self {
            seq: wire.seq,
            echoed: wire.echoed,
            welcome: wire.welcome.map(welcome),
            grants: wire.grants.into_iter().map(grant).collect::<Result<_, _>>()?,
            recalls: wire.recalls,
            marks: wire.marks.map(|wire::Marks { full, set, cleared }| Marks { full, set, cleared }),
            terms: wire.terms.map(terms).transpose()?,
        })
    }
}

fn welcome(wire: wire::LeaseWelcome) -> Welcome {
    let nanos = |ms: u32| u64::from(ms) * NANOS_PER_MILLI;
    Welcome { epoch: wire.epoch, lease_ns: nanos(wire.lease_ms), renew_ns: nanos(wire.renew_ms) }
}

fn grant(wire: wire::Grant) -> Result<Grant, Refusal> {
    Ok(Grant {
        key: wire.key,
        tokens: number(wire.tokens, "tokens")?,
        whole: wire.whole,
        retry_ns: wire.retry_ms.saturating_mul(NANOS_PER_MILLI),
        remember: wire.remember.map(TryInto::try_into).transpose()?,
    })
}

fn terms(wire: wire::Terms) -> Result<NewTerms, Refusal> {
    Ok(NewTerms { share: number(wire.share, "share")?, factor: number(wire.factor, "factor")? })
}

fn number(number: f64, field: &str) -> Result<f64, Refusal> {
    let valid = number.is_finite() && number >= 0.0;
    if valid { Ok(number) } else { Err(Refusal(format!("{field} {number} is not a number of at least 0"))) }
}
