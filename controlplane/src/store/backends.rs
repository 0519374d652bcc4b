//! Backends and settings.

mod edit;
mod reconcile;

use super::records::BackendRecord;
use super::rows::{Operation, Rows};
use super::{Access, Reconciled, Store, StoreError};
use crate::domain::{Backend, BackendChange, BackendKey, BackendSpec, Settings, Source};

impl Store {
    /// All backends, by id.
    pub async fn list_backends(&self) -> Result<Vec<Backend>, StoreError> {
        self.read(List, Access::Read).await
    }

    /// Adds a backend and answers it with the revision; [`StoreError::AlreadyExists`] if its URL is taken.
    pub async fn add_backend(&self, spec: &BackendSpec, source: Source) -> Result<(Backend, u64), StoreError> {
        self.write(edit::Add { spec: spec.clone(), source }, Access::Write).await
    }

    /// Changes a backend and answers it with the revision. A change to what is there already takes no revision.
    pub async fn update_backend(&self, key: &BackendKey, change: &BackendChange) -> Result<(Backend, u64), StoreError> {
        self.write(edit::Update { key: key.clone(), change: *change }, Access::Write).await
    }

    /// Removes a backend and answers the revision; [`StoreError::BackendInFile`] if the configuration file defines it.
    pub async fn remove_backend(&self, key: &BackendKey) -> Result<u64, StoreError> {
        self.write(edit::Remove { key: key.clone() }, Access::Write).await
    }

    /// Makes the backends of source `File` those given, and the settings those given. What operators set (the admin
    /// state) stays; a backend of source `Api` with the same URL becomes one of the file; others of source `Api` stay.
    pub async fn reconcile(&self, backends: &[BackendSpec], settings: &Settings) -> Result<Reconciled, StoreError> {
        self.write(reconcile::Reconcile { specs: backends.to_vec(), settings: settings.clone() }, Access::Write).await
    }
}

/// All backends as domain types.
pub(super) async fn all<C: Rows>(rows: &mut C) -> Result<Vec<Backend>, StoreError> {
    let found: Vec<(i64, BackendRecord)> = rows.backends().await?;
    found.into_iter().map(|(id, record)| record.into_backend(id)).collect()
}

/// Changes a backend's row to what `backend` says, as of `revision`.
async fn update<C: Rows>(rows: &mut C, backend: &Backend, revision: i64) -> Result<(), StoreError> {
    let record = BackendRecord::new(&backend.spec, backend.admin_state, backend.source, revision)?;
    Ok(rows.update_backend(backend.id.cast_signed(), &record).await?)
}

struct List;

impl Operation for List {
    type Answer = Vec<Backend>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Vec<Backend>, StoreError> {
        all(rows).await
    }
}
