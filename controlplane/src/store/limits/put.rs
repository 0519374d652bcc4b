//! Create, update, set.

use super::{put_all, unknown};
use crate::domain::{ClientId, Limit, StoredLimit};
use crate::store::StoreError;
use crate::store::rows::{Operation, Rows, Written};

pub(super) struct Create {
    pub(super) id: ClientId,
    pub(super) limit: Limit,
}

impl Operation for Create {
    type Answer = Written<u64>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<u64>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        if rows.limit(self.id.as_str()).await?.is_some() {
            return Err(StoreError::AlreadyExists(format!("a limit for client {:?}", self.id.as_str())));
        }
        put_all(rows, &mut meta, &[(self.id.clone(), self.limit)]).await?;
        Ok((meta.newest(), meta.newest()))
    }
}

pub(super) struct Update {
    pub(super) id: ClientId,
    pub(super) capacity: Option<f64>,
    pub(super) rate_per_sec: Option<f64>,
}

impl Operation for Update {
    type Answer = Written<StoredLimit>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<StoredLimit>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        let mut stored = StoredLimit::try_from(rows.limit(self.id.as_str()).await?.ok_or_else(|| unknown(&self.id))?)?;
        let old = stored.limit;
        let (capacity, rate_per_sec) = (self.capacity.unwrap_or(old.capacity()), self.rate_per_sec);
        stored.limit = Limit::new(capacity, rate_per_sec.unwrap_or(old.rate_per_sec()))?;
        if stored.limit != old {
            stored.revision = put_all(rows, &mut meta, &[(self.id.clone(), stored.limit)]).await?.cast_unsigned();
        }
        Ok((stored, meta.newest()))
    }
}

pub(super) struct Set {
    pub(super) id: ClientId,
    pub(super) limit: Limit,
}

impl Operation for Set {
    type Answer = Written<(bool, u64)>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<(bool, u64)>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        let old = rows.limit(self.id.as_str()).await?.map(StoredLimit::try_from).transpose()?;
        if old.as_ref().is_none_or(|old| old.limit != self.limit) {
            put_all(rows, &mut meta, &[(self.id.clone(), self.limit)]).await?;
        }
        Ok(((old.is_none(), meta.newest()), meta.newest()))
    }
}
