//! Many limits at once.

use std::collections::{BTreeMap, HashMap};

use super::{IDS_PER_QUERY, ids, put_all};
use crate::domain::{ClientId, Limit};
use crate::store::StoreError;
use crate::store::rows::{Operation, Rows, Written};

pub(super) struct Import {
    pub(super) batch: Vec<(ClientId, Limit)>,
}

impl Operation for Import {
    type Answer = Written<u64>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<u64>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        // One row per client: the last one of a client counts.
        let batch: Vec<(ClientId, Limit)> = self.batch.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
        let changed = changed(rows, batch).await?;
        if changed.is_empty() {
            return Ok((meta.newest(), meta.newest()));
        }
        put_all(rows, &mut meta, &changed).await?;
        Ok((meta.newest(), meta.newest()))
    }
}

/// Those of the batch that differ from what is stored.
async fn changed<C: Rows>(rows: &mut C, batch: Vec<(ClientId, Limit)>) -> Result<Vec<(ClientId, Limit)>, StoreError> {
    let mut stored = HashMap::new();
    for chunk in batch.chunks(IDS_PER_QUERY) {
        for record in rows.limits_among(&ids(chunk)).await? {
            stored.insert(record.client_id, (record.capacity, record.rate_per_sec));
        }
    }
    let is_new = |(id, limit): &(ClientId, Limit)| {
        stored.get(id.as_str()).is_none_or(|old| *old != (limit.capacity(), limit.rate_per_sec()))
    };
    Ok(batch.into_iter().filter(is_new).collect())
}
