//! The old service's table `clients_limits`, taken over once. Nothing in it is changed.

use std::collections::{BTreeMap, HashSet};

use super::records::{LegacyRecord, Meta};
use super::rows::{Operation, Rows, Written};
use super::{StoreError, limits};
use crate::domain::{ClientId, Invalid, Limit};

/// The first thing done in an open database: takes over what the old service left there.
pub(super) struct Begin;

impl Operation for Begin {
    type Answer = Written<Meta>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<Meta>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        if let Some(legacy) = rows.legacy_rows().await.map_err(unreadable)? {
            take_over(rows, &mut meta, legacy).await?;
            rows.mark_legacy_imported().await?;
        }
        let newest = meta.newest();
        Ok((meta, newest))
    }
}

/// A table of that name need not be the old service's.
fn unreadable(error: diesel::result::Error) -> StoreError {
    let said = error.to_string();
    if !["no such column", "does not exist"].iter().any(|missing| said.contains(missing)) {
        return error.into();
    }
    StoreError::Refused(format!(
        "the table clients_limits is not as the old service made it ({said}): it needs the columns id, client_id, \
         capacity and rate_per_sec; add what is missing, or rename the table, and it is left alone"
    ))
}

async fn take_over<C: Rows>(rows: &mut C, meta: &mut Meta, legacy: Vec<LegacyRecord>) -> Result<(), StoreError> {
    let found = legacy.len();
    let mut new = BTreeMap::new();
    for record in legacy {
        match read(&record) {
            Ok((id, limit)) => drop(new.insert(id, limit)),
            Err(reason) => {
                tracing::warn!(client_id = masked(&record), %reason, "row of clients_limits skipped");
            }
        }
    }
    // What somebody set here meanwhile is newer than the old table.
    let present: HashSet<String> = rows.limits_since(0).await?.into_iter().map(|row| row.client_id).collect();
    let new: Vec<(ClientId, Limit)> = new.into_iter().filter(|(id, _)| !present.contains(id.as_str())).collect();
    if !new.is_empty() {
        limits::put_all(rows, meta, &new).await?;
    }
    tracing::info!(found, taken = new.len(), "limits of the old table clients_limits imported");
    Ok(())
}

/// The beginning of a client_id, which may be an API key: enough to find the row.
fn masked(record: &LegacyRecord) -> Option<String> {
    let shown = |id: &String| id.chars().take(4).chain(['…']).collect();
    record.client_id.as_ref().map(shown)
}

fn read(record: &LegacyRecord) -> Result<(ClientId, Limit), Invalid> {
    let missing = |field, what: &str| Invalid { field, expected: format!("expected a {what}") };
    let id = record.client_id.as_deref().ok_or_else(|| missing("client_id", "text"))?;
    let capacity = record.capacity.ok_or_else(|| missing("capacity", "number"))?;
    let rate_per_sec = record.rate_per_sec.ok_or_else(|| missing("rate_per_sec", "number"))?;
    Ok((ClientId::new(id)?, Limit::new(capacity, rate_per_sec)?))
}
