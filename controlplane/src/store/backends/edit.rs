//! One backend at a time.

use super::{all, update};
use crate::domain::{AdminState, Backend, BackendChange, BackendKey, BackendSpec, Source, weight};
use crate::store::StoreError;
use crate::store::history::commit;
use crate::store::records::BackendRecord;
use crate::store::rows::{Operation, Rows, Written};

pub(super) struct Add {
    pub(super) spec: BackendSpec,
    pub(super) source: Source,
}

impl Operation for Add {
    type Answer = Written<(Backend, u64)>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<(Backend, u64)>, StoreError> {
        weight(self.spec.weight)?;
        let mut meta = rows.lock_meta().await?;
        if all(rows).await?.iter().any(|backend| backend.spec.url == self.spec.url) {
            return Err(StoreError::AlreadyExists(format!("backend {}", self.spec.url.as_str())));
        }
        meta.backends_revision = meta.next_revision();
        let record = BackendRecord::new(&self.spec, AdminState::Active, self.source, meta.revision)?;
        let id = rows.insert_backend(&record).await?;
        commit(rows, &meta).await?;
        Ok(((record.into_backend(id)?, meta.newest()), meta.newest()))
    }
}

pub(super) struct Update {
    pub(super) key: BackendKey,
    pub(super) change: BackendChange,
}

impl Operation for Update {
    type Answer = Written<(Backend, u64)>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<(Backend, u64)>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        let old = find(rows, &self.key).await?;
        let mut new = old.clone();
        new.spec.weight = self.change.weight.unwrap_or(old.spec.weight);
        new.admin_state = self.change.admin_state.unwrap_or(old.admin_state);
        weight(new.spec.weight)?;
        if new != old {
            meta.backends_revision = meta.next_revision();
            update(rows, &new, meta.revision).await?;
            commit(rows, &meta).await?;
        }
        Ok(((new, meta.newest()), meta.newest()))
    }
}

pub(super) struct Remove {
    pub(super) key: BackendKey,
}

impl Operation for Remove {
    type Answer = Written<u64>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<u64>, StoreError> {
        let mut meta = rows.lock_meta().await?;
        let backend = find(rows, &self.key).await?;
        if backend.source == Source::File {
            return Err(StoreError::BackendInFile(backend.spec.url.as_str().into()));
        }
        meta.backends_revision = meta.next_revision();
        rows.delete_backend(backend.id.cast_signed()).await?;
        commit(rows, &meta).await?;
        Ok((meta.newest(), meta.newest()))
    }
}

async fn find<C: Rows>(rows: &mut C, key: &BackendKey) -> Result<Backend, StoreError> {
    let is_it = |backend: &Backend| match key {
        BackendKey::Id(id) => backend.id == *id,
        BackendKey::Url(url) => backend.spec.url == *url,
    };
    let name = || match key {
        BackendKey::Id(id) => format!("backend {id}"),
        BackendKey::Url(url) => format!("backend {}", url.as_str()),
    };
    all(rows).await?.into_iter().find(is_it).ok_or_else(|| StoreError::NotFound(name()))
}
