//! The database: one API over PostgreSQL and SQLite. SQL stands only here.

mod config;
mod error;
mod types;

use tokio::sync::watch;

use crate::domain::{Backend, BackendChange, BackendKey, BackendSpec, ClientId, Limit, Settings, Source, StoredLimit};

pub use config::{DatabaseConfig, PostgresConfig, TlsMode};
pub use error::StoreError;
pub use types::{Changes, Loaded, Reconciled};

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    changed: watch::Sender<u64>,
}

fn unbuilt<T>() -> Result<T, StoreError> {
    Err(StoreError::Internal("the store is being built".into()))
}

#[allow(missing_docs, clippy::unused_async)]
impl Store {
    pub async fn open(_config: &DatabaseConfig) -> Result<Store, StoreError> {
        unbuilt()
    }
    pub fn kind(&self) -> &'static str {
        "sqlite"
    }
    pub fn store_id(&self) -> &str {
        ""
    }
    pub async fn ping(&self) -> Result<(), StoreError> {
        unbuilt()
    }
    pub async fn create_limit(&self, _id: &ClientId, _limit: Limit) -> Result<u64, StoreError> {
        unbuilt()
    }
    pub async fn get_limit(&self, _id: &ClientId) -> Result<StoredLimit, StoreError> {
        unbuilt()
    }
    pub async fn update_limit(&self, _id: &ClientId, _capacity: Option<f64>, _rate_per_sec: Option<f64>) -> Result<StoredLimit, StoreError> {
        unbuilt()
    }
    pub async fn set_limit(&self, _id: &ClientId, _limit: Limit) -> Result<(bool, u64), StoreError> {
        unbuilt()
    }
    pub async fn delete_limit(&self, _id: &ClientId) -> Result<u64, StoreError> {
        unbuilt()
    }
    pub async fn list_limits(&self, _prefix: &str, _after: Option<&ClientId>, _count: u32) -> Result<Vec<StoredLimit>, StoreError> {
        unbuilt()
    }
    pub async fn import_limits(&self, _batch: Vec<(ClientId, Limit)>) -> Result<u64, StoreError> {
        unbuilt()
    }
    pub async fn list_backends(&self) -> Result<Vec<Backend>, StoreError> {
        unbuilt()
    }
    pub async fn add_backend(&self, _spec: &BackendSpec, _source: Source) -> Result<(Backend, u64), StoreError> {
        unbuilt()
    }
    pub async fn update_backend(&self, _key: &BackendKey, _change: &BackendChange) -> Result<(Backend, u64), StoreError> {
        unbuilt()
    }
    pub async fn remove_backend(&self, _key: &BackendKey) -> Result<u64, StoreError> {
        unbuilt()
    }
    pub async fn reconcile(&self, _backends: &[BackendSpec], _settings: &Settings) -> Result<Reconciled, StoreError> {
        unbuilt()
    }
    pub async fn load(&self) -> Result<Loaded, StoreError> {
        unbuilt()
    }
    pub async fn changes_since(&self, _revision: u64) -> Result<Option<Changes>, StoreError> {
        unbuilt()
    }
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
