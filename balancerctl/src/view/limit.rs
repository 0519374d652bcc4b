//! A client's limit.

use balancer_proto::v1::Limit;
use serde::Serialize;

use crate::{table::Row, view::number};

/// A limit as it is shown and as it stands in a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LimitRow {
    pub(crate) client_id: String,
    #[serde(serialize_with = "number::serialize")]
    pub(crate) capacity: f64,
    #[serde(serialize_with = "number::serialize")]
    pub(crate) rate_per_sec: f64,
}

impl From<Limit> for LimitRow {
    fn from(limit: Limit) -> Self {
        // A control plane always sets both.
        let (capacity, rate_per_sec) = (limit.capacity.unwrap_or_default(), limit.rate_per_sec.unwrap_or_default());
        Self { client_id: limit.client_id, capacity, rate_per_sec }
    }
}

impl From<&LimitRow> for Limit {
    fn from(row: &LimitRow) -> Self {
        Self { client_id: row.client_id.clone(), capacity: Some(row.capacity), rate_per_sec: Some(row.rate_per_sec) }
    }
}

impl Row for LimitRow {
    const TITLES: &'static [&'static str] = &["CLIENT", "CAPACITY", "RATE/S"];

    fn cells(&self) -> Vec<String> {
        vec![self.client_id.clone(), self.capacity.to_string(), self.rate_per_sec.to_string()]
    }
}
