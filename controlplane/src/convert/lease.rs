//! Leases. A data plane is trusted, but its numbers are checked: nothing that is no number may get into an account.

use std::time::Duration;

use balancer_proto::v1 as wire;

use crate::ledger::message::{Ask, Client, Grant, Holding, Join, Marks, Request, Response, Return, Terms, Welcome};

/// A message that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl TryFrom<wire::LeaseClient> for Client {
    type Error = Malformed;

    fn try_from(wire: wire::LeaseClient) -> Result<Self, Malformed> {
        let wire::LeaseClient { key, capacity, rate_per_sec, revision } = wire;
        let valid = capacity.is_finite() && capacity >= 1.0 && rate_per_sec.is_finite() && rate_per_sec >= 0.0;
        if valid { Ok(Self { key, capacity, rate_per_sec, revision }) } else { Err(Malformed("a limit is none")) }
    }
}

impl From<Client> for wire::LeaseClient {
    fn from(client: Client) -> Self {
        let Client { key, capacity, rate_per_sec, revision } = client;
        Self { key, capacity, rate_per_sec, revision }
    }
}

impl TryFrom<wire::LeaseRequest> for Request {
    type Error = Malformed;

    fn try_from(wire: wire::LeaseRequest) -> Result<Self, Malformed> {
        Ok(Self {
            seq: wire.seq,
            acked: wire.acked,
            asks: wire.asks.into_iter().map(ask).collect::<Result<_, _>>()?,
            returns: wire.returns.into_iter().map(give_back).collect::<Result<_, _>>()?,
            leaving: wire.leaving,
        })
    }
}

impl TryFrom<wire::Join> for Join {
    type Error = Malformed;

    fn try_from(wire: wire::Join) -> Result<Self, Malformed> {
        if wire.replica_id.is_empty() {
            return Err(Malformed("replica_id is empty"));
        }
        Ok(Self {
            replica_id: wire.replica_id,
            incarnation: wire.incarnation,
            epoch: wire.epoch,
            share: number(wire.share)?.min(1.0),
            holdings: wire.holdings.into_iter().map(holding).collect::<Result<_, _>>()?,
            marks_unsure: wire.marks_unsure,
        })
    }
}

fn ask(wire: wire::Ask) -> Result<Ask, Malformed> {
    Ok(Ask {
        client: client(wire.client)?,
        spent: number(wire.spent)?,
        tokens: number(wire.tokens)?,
        want: number(wire.want)?,
    })
}

fn give_back(wire: wire::Return) -> Result<Return, Malformed> {
    Ok(Return { key: wire.key, tokens: number(wire.tokens)?, kept: number(wire.kept)?, idle: wire.idle })
}

fn holding(wire: wire::Holding) -> Result<Holding, Malformed> {
    let wire::Holding { client: whose, tokens, whole, known } = wire;
    Ok(Holding { client: client(whose)?, tokens: number(tokens)?, whole, known })
}

fn client(wire: Option<wire::LeaseClient>) -> Result<Client, Malformed> {
    wire.ok_or(Malformed("a client is missing"))?.try_into()
}

/// Tokens or a share: not negative.
fn number(number: f64) -> Result<f64, Malformed> {
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(Malformed("a number of tokens is none")) }
}

impl From<Response> for wire::LeaseResponse {
    fn from(response: Response) -> Self {
        Self {
            seq: response.seq,
            echoed: response.echoed,
            welcome: response.welcome.map(Into::into),
            grants: response.grants.into_iter().map(Into::into).collect(),
            recalls: response.recalls,
            marks: response.marks.map(Into::into),
            terms: response.terms.map(Into::into),
            elsewhere: None,
        }
    }
}

impl From<Welcome> for wire::LeaseWelcome {
    fn from(welcome: Welcome) -> Self {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self { epoch: welcome.epoch, lease_ms: ms(welcome.lease), renew_ms: ms(welcome.renew) }
    }
}

impl From<Grant> for wire::Grant {
    fn from(grant: Grant) -> Self {
        // Rounded up: a token that is asked for too early is not there.
        let retry_ms = u64::try_from(grant.retry.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let Grant { key, tokens, whole, remember, .. } = grant;
        Self { key, tokens, whole, retry_ms, remember: remember.map(Into::into) }
    }
}

impl From<Marks> for wire::Marks {
    fn from(marks: Marks) -> Self {
        let Marks { full, set, cleared } = marks;
        Self { full, set, cleared }
    }
}

impl From<Terms> for wire::Terms {
    fn from(terms: Terms) -> Self {
        let Terms { share, factor } = terms;
        Self { share, factor }
    }
}
