//! Everything, and what changed since: each at one revision.

use super::backends;
use super::records::{LimitRecord, SettingsRecord};
use super::rows::{Operation, Rows};
use super::{Access, Changes, Loaded, Store, StoreError};
use crate::domain::{ClientId, Limit, Settings, StoredLimit};

impl Store {
    /// Everything, at one revision.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        self.read(Load, Access::Snapshot).await
    }

    /// What changed after a revision. `None` if that is no longer known, or if the revision is not one of this
    /// database: then [`Store::load`].
    pub async fn changes_since(&self, revision: u64) -> Result<Option<Changes>, StoreError> {
        self.read(ChangesSince { revision }, Access::Snapshot).await
    }
}

struct Load;

impl Operation for Load {
    type Answer = Loaded;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Loaded, StoreError> {
        let meta = rows.meta().await?;
        Ok(Loaded {
            revision: meta.newest(),
            store_id: meta.store_id,
            limits: pairs(rows.limits_since(0).await?)?,
            backends: backends::all(rows).await?,
            settings: rows.settings().await?.map(Settings::try_from).transpose()?,
        })
    }
}

struct ChangesSince {
    revision: u64,
}

impl Operation for ChangesSince {
    type Answer = Option<Changes>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Option<Changes>, StoreError> {
        let meta = rows.meta().await?;
        if self.revision > meta.newest() || self.revision < meta.tombstone_horizon.cast_unsigned() {
            return Ok(None);
        }
        let since = self.revision.cast_signed();
        let backends = match meta.backends_revision > since {
            true => Some(backends::all(rows).await?),
            false => None,
        };
        let settings = rows.settings().await?.filter(|row: &SettingsRecord| row.revision > since);
        Ok(Some(Changes {
            revision: meta.newest(),
            upserted: pairs(rows.limits_since(since).await?)?,
            deleted: client_ids(rows.tombstones_since(since).await?)?,
            backends,
            settings: settings.map(Settings::try_from).transpose()?,
        }))
    }
}

fn pairs(records: Vec<LimitRecord>) -> Result<Vec<(ClientId, Limit)>, StoreError> {
    records.into_iter().map(|record| StoredLimit::try_from(record).map(|s| (s.client_id, s.limit))).collect()
}

fn client_ids(texts: Vec<String>) -> Result<Vec<ClientId>, StoreError> {
    texts.iter().map(|text| ClientId::new(text).map_err(StoreError::Invalid)).collect()
}
