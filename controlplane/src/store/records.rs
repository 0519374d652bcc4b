//! Rows as they stand in the tables, and their conversion from and to domain types.

mod backend;
mod settings;

use diesel::prelude::{AsChangeset, Queryable, Selectable};

use super::StoreError;
use super::schema::{limits, meta};
use crate::domain::{ClientId, Limit, StoredLimit};

pub(super) use backend::BackendRecord;
pub(super) use settings::SettingsRecord;

/// The one row of `meta`.
#[derive(Clone, Debug, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = meta)]
pub(super) struct Meta {
    pub(super) store_id: String,
    pub(super) revision: i64,
    pub(super) tombstone_horizon: i64,
    pub(super) tombstone_count: i64,
    pub(super) backends_revision: i64,
}

impl Meta {
    /// Takes the next revision. It counts once the row is put back.
    pub(super) fn next_revision(&mut self) -> i64 {
        self.revision += 1;
        self.revision
    }

    /// The newest revision as the rest of the program counts it.
    pub(super) fn newest(&self) -> u64 {
        self.revision.cast_unsigned()
    }
}

/// A row of `limits`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = limits)]
pub(super) struct LimitRecord {
    pub(super) client_id: String,
    pub(super) capacity: f64,
    pub(super) rate_per_sec: f64,
    pub(super) revision: i64,
}

impl TryFrom<LimitRecord> for StoredLimit {
    type Error = StoreError;

    fn try_from(record: LimitRecord) -> Result<Self, StoreError> {
        Ok(Self {
            client_id: ClientId::existing(&record.client_id).map_err(|e| unreadable("limits", &e))?,
            limit: Limit::new(record.capacity, record.rate_per_sec).map_err(|e| unreadable("limits", &e))?,
            revision: record.revision.cast_unsigned(),
        })
    }
}

/// A row of the old service's table `clients_limits`; a value that is no text or number there is `None` here.
#[derive(Clone, Debug)]
pub(super) struct LegacyRecord {
    pub(super) client_id: Option<String>,
    pub(super) capacity: Option<f64>,
    pub(super) rate_per_sec: Option<f64>,
}

/// A row that this program cannot have written: somebody else did, or the schema is not the one expected.
fn unreadable(table: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Internal(format!("a row of table {table} cannot be read: {why}"))
}
