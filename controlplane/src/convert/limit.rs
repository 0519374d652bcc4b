//! Limits.

use balancer_proto::v1;

use crate::domain::{ClientId, Invalid, Limit};

/// A limit as it travels.
pub(crate) fn limit(id: &str, limit: Limit) -> v1::Limit {
    let (capacity, rate_per_sec) = (Some(limit.capacity()), Some(limit.rate_per_sec()));
    v1::Limit { client_id: id.to_owned(), capacity, rate_per_sec }
}

/// A client_id that came over the wire, to find a limit by.
pub(crate) fn client_id(text: &str) -> Result<ClientId, Invalid> {
    ClientId::existing(text)
}

/// A limit with everything set.
pub(crate) fn new_limit(wire: Option<v1::Limit>) -> Result<(ClientId, Limit), Invalid> {
    let wire = wire.ok_or_else(|| unset("limit"))?;
    let id = ClientId::new(&wire.client_id)?;
    let capacity = wire.capacity.ok_or_else(|| unset("capacity"))?;
    let rate_per_sec = wire.rate_per_sec.ok_or_else(|| unset("rate_per_sec"))?;
    Ok((id, Limit::new(capacity, rate_per_sec)?))
}

/// A limit of which at least one number is set; the store keeps the other and checks the result.
pub(crate) fn partial_limit(wire: Option<v1::Limit>) -> Result<(ClientId, Option<f64>, Option<f64>), Invalid> {
    let wire = wire.ok_or_else(|| unset("limit"))?;
    let id = ClientId::new(&wire.client_id)?;
    if wire.capacity.is_none() && wire.rate_per_sec.is_none() {
        let expected = "expected capacity or rate_per_sec or both, got neither".to_owned();
        return Err(Invalid { field: "limit", expected });
    }
    Limit::new(wire.capacity.unwrap_or(1.0), wire.rate_per_sec.unwrap_or(0.0))?;
    Ok((id, wire.capacity, wire.rate_per_sec))
}

fn unset(field: &'static str) -> Invalid {
    Invalid { field, expected: "is required but not set".into() }
}
