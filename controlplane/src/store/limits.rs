//! Limits, one at a time and listed.

mod delete;
mod import;
mod put;
mod range;

use super::history::commit;
use super::records::{LimitRecord, Meta};
use super::rows::{Operation, Rows};
use super::{Access, Store, StoreError};
use crate::domain::{ClientId, Limit, StoredLimit};

impl Store {
    /// Creates a limit and answers the revision; [`StoreError::AlreadyExists`] if the client has one.
    pub async fn create_limit(&self, id: &ClientId, limit: Limit) -> Result<u64, StoreError> {
        self.write(put::Create { id: id.clone(), limit }, Access::Write).await
    }

    /// The client's limit, or [`StoreError::NotFound`].
    pub async fn get_limit(&self, id: &ClientId) -> Result<StoredLimit, StoreError> {
        self.read(Get { id: id.clone() }, Access::Read).await
    }

    /// Changes what is given of an existing limit. A change to what is there already takes no revision.
    pub async fn update_limit(
        &self,
        id: &ClientId,
        capacity: Option<f64>,
        rate_per_sec: Option<f64>,
    ) -> Result<StoredLimit, StoreError> {
        self.write(put::Update { id: id.clone(), capacity, rate_per_sec }, Access::Write).await
    }

    /// Creates or changes a limit; answers whether it was created, and the revision.
    pub async fn set_limit(&self, id: &ClientId, limit: Limit) -> Result<(bool, u64), StoreError> {
        self.write(put::Set { id: id.clone(), limit }, Access::Write).await
    }

    /// Deletes a limit and answers the revision; [`StoreError::NotFound`] if there is none.
    pub async fn delete_limit(&self, id: &ClientId) -> Result<u64, StoreError> {
        self.write(delete::Delete { id: id.clone(), tombstones_kept: self.tombstones_kept() }, Access::Write).await
    }

    /// Up to `count` limits whose client_id begins with `prefix` and comes after `after`, in bytewise order.
    pub async fn list_limits(
        &self,
        prefix: &str,
        after: Option<&ClientId>,
        count: u32,
    ) -> Result<Vec<StoredLimit>, StoreError> {
        match range::Range::new(prefix, after) {
            Some(range) => self.read(List { range, count }, Access::Read).await,
            None => Ok(Vec::new()),
        }
    }

    /// Creates or changes all of `batch`, or nothing, and answers the revision. Limits that are equal already keep
    /// their revision; of a client that comes twice the last one counts.
    pub async fn import_limits(&self, batch: Vec<(ClientId, Limit)>) -> Result<u64, StoreError> {
        self.write(import::Import { batch }, Access::Write).await
    }
}

fn unknown(id: &ClientId) -> StoreError {
    StoreError::NotFound(format!("a limit for client {:?}", id.as_str()))
}

/// Client ids per query; SQLite takes 32,766 parameters.
const IDS_PER_QUERY: usize = 5000;

/// Creates or changes limits, none of which comes twice, at the next revision, which is answered.
pub(super) async fn put_all<C: Rows>(
    rows: &mut C,
    meta: &mut Meta,
    limits: &[(ClientId, Limit)],
) -> Result<i64, StoreError> {
    let revision = meta.next_revision();
    rows.put_limits(limits, revision).await?;
    if meta.tombstone_count > 0 {
        for chunk in limits.chunks(IDS_PER_QUERY) {
            meta.tombstone_count -= count(rows.drop_tombstones(&ids(chunk)).await?);
        }
    }
    commit(rows, meta).await?;
    Ok(revision)
}

fn ids(limits: &[(ClientId, Limit)]) -> Vec<&str> {
    limits.iter().map(|(id, _)| id.as_str()).collect()
}

/// A number of rows as the table counts it.
fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

struct Get {
    id: ClientId,
}

impl Operation for Get {
    type Answer = StoredLimit;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<StoredLimit, StoreError> {
        rows.limit(self.id.as_str()).await?.ok_or_else(|| unknown(&self.id))?.try_into()
    }
}

struct List {
    range: range::Range,
    count: u32,
}

impl Operation for List {
    type Answer = Vec<StoredLimit>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Vec<StoredLimit>, StoreError> {
        let range::Range { from, exclusive, to } = &self.range;
        let found: Vec<LimitRecord> = rows.limits_between(from, *exclusive, to.as_deref(), self.count).await?;
        found.into_iter().map(StoredLimit::try_from).collect()
    }
}
