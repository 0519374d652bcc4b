//! Delete, and forget old deletions.

use super::{count, unknown};
use crate::domain::ClientId;
use crate::store::StoreError;
use crate::store::history::commit;
use crate::store::records::Meta;
use crate::store::rows::{Operation, Rows, Written};

pub(super) struct Delete {
    pub(super) id: ClientId,
    pub(super) tombstones_kept: u32,
}

impl Operation for Delete {
    type Answer = Written<u64>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<u64>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        if rows.delete_limit(self.id.as_str()).await? == 0 {
            return Err(unknown(&self.id));
        }
        let revision = meta.next_revision();
        rows.put_tombstone(self.id.as_str(), revision).await?;
        meta.tombstone_count += 1;
        prune(rows, &mut meta, self.tombstones_kept.into()).await?;
        commit(rows, &meta).await?;
        Ok((meta.newest(), meta.newest()))
    }
}

/// Keeps the newest `kept` tombstones. Finding the oldest of them costs `kept` index entries, so it is done only
/// when a 64th more have gathered.
async fn prune<C: Rows>(rows: &mut C, meta: &mut Meta, kept: i64) -> Result<(), StoreError> {
    if meta.tombstone_count <= kept + kept / 64 {
        return Ok(());
    }
    if let Some(horizon) = rows.tombstone_revision(kept).await? {
        meta.tombstone_count -= count(rows.drop_tombstones_through(horizon).await?);
        meta.tombstone_horizon = horizon;
    }
    Ok(())
}
