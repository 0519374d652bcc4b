//! Everything, and what changed since: each at one revision.

use super::backends;
use super::records::{LimitRecord, Meta, SettingsRecord};
use super::rows::{Operation, Rows};
use super::{ANSWER_WITHIN, Access, Changes, Loaded, Origin, Store, StoreError, Touched, history};
use crate::domain::{ClientId, Limit, Settings, StoredLimit};

impl Store {
    /// Everything, at one revision.
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        self.read(Load, Access::Snapshot).await
    }

    /// What changed after a revision. `None` if that is no longer known, or if the revision is not one of this
    /// database, or (if `origin` says where it was read) not one of its past: then [`Store::load`].
    pub async fn changes_since(&self, revision: u64, origin: Option<Origin>) -> Result<Option<Changes>, StoreError> {
        self.read(ChangesSince { revision, origin }, Access::Snapshot).await
    }

    /// Whose limit changed after a revision. `None` as for [`Store::changes_since`], and if it is more than `at_most`
    /// clients. Somebody waits for the answer: it comes soon or not at all.
    pub async fn touched_since(&self, revision: u64, at_most: u32) -> Result<Option<Touched>, StoreError> {
        self.read_within(TouchedSince { revision, at_most }, Access::Snapshot, ANSWER_WITHIN).await
    }
}

struct Load;

impl Operation for Load {
    type Answer = Loaded;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Loaded, StoreError> {
        let meta = rows.meta().await?;
        Ok(Loaded {
            revision: meta.newest(),
            mark: history::mark(rows, meta.revision).await?,
            store_id: meta.store_id,
            limits: pairs(rows.limits_since(0).await?)?,
            backends: backends::all(rows).await?,
            settings: rows.settings().await?.map(Settings::try_from).transpose()?,
        })
    }
}

struct ChangesSince {
    revision: u64,
    origin: Option<Origin>,
}

impl Operation for ChangesSince {
    type Answer = Option<Changes>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Option<Changes>, StoreError> {
        let meta = rows.meta().await?;
        if !is_known(self.revision, &meta) {
            return Ok(None);
        }
        let since = self.revision.cast_signed();
        if let Some(origin) = self.origin
            && (origin.store_id != meta.store_id || origin.mark != history::mark(rows, since).await?)
        {
            return Ok(None);
        }
        let backends = match meta.backends_revision > since {
            true => Some(backends::all(rows).await?),
            false => None,
        };
        let settings = rows.settings().await?.filter(|row: &SettingsRecord| row.revision > since);
        Ok(Some(Changes {
            revision: meta.newest(),
            mark: history::mark(rows, meta.revision).await?,
            upserted: pairs(rows.limits_since(since).await?)?,
            deleted: client_ids(rows.tombstones_since(since).await?)?,
            backends,
            settings: settings.map(Settings::try_from).transpose()?,
        }))
    }
}

struct TouchedSince {
    revision: u64,
    at_most: u32,
}

impl Operation for TouchedSince {
    type Answer = Option<Touched>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Option<Touched>, StoreError> {
        let meta = rows.meta().await?;
        if !is_known(self.revision, &meta) {
            return Ok(None);
        }
        let since = self.revision.cast_signed();
        // One more than wanted tells that it is too many. Deletions are bounded by how many are remembered.
        let mut client_ids = rows.limit_ids_since(since, self.at_most.saturating_add(1)).await?;
        client_ids.extend(rows.tombstones_since(since).await?);
        let few = client_ids.len() <= self.at_most as usize;
        Ok(few.then(|| Touched { revision: meta.newest(), client_ids }))
    }
}

/// Whether it can be told what changed after a revision.
fn is_known(revision: u64, meta: &Meta) -> bool {
    revision <= meta.newest() && revision >= meta.tombstone_horizon.cast_unsigned()
}

fn pairs(records: Vec<LimitRecord>) -> Result<Vec<(ClientId, Limit)>, StoreError> {
    records.into_iter().map(|record| StoredLimit::try_from(record).map(|s| (s.client_id, s.limit))).collect()
}

fn client_ids(texts: Vec<String>) -> Result<Vec<ClientId>, StoreError> {
    texts.iter().map(|text| ClientId::existing(text).map_err(StoreError::Invalid)).collect()
}
