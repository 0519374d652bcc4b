//! [`Rows`] over SQLite. Nothing here waits: the caller has a thread of its own.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Double, Nullable, Text};
use diesel::upsert::excluded;

use crate::domain::{ClientId, Limit};
use crate::store::records::{BackendRecord, LegacyRecord, LimitRecord, Meta, SettingsRecord};
use crate::store::rows::{Rows, shared_rows};
use crate::store::schema::{authority, backends, limit_tombstones, limits, meta, replicas, revisions, settings};

/// Rows per INSERT: four parameters each, and SQLite takes 32,766 of them.
const ROWS_PER_STATEMENT: usize = 5000;

impl Rows for SqliteConnection {
    shared_rows!([]);

    async fn lock_meta(&mut self) -> QueryResult<Meta> {
        // BEGIN IMMEDIATE has locked the whole file.
        self.meta().await
    }

    async fn put_meta(&mut self, row: &Meta) -> QueryResult<()> {
        diesel::update(meta::table).set(row).execute(self).map(drop)
    }

    async fn begin_epoch(&mut self, at_least: i64, address: &str) -> QueryResult<i64> {
        let next = (authority::table.select(authority::epoch).first::<i64>(self)? + 1).max(at_least);
        let row = (authority::epoch.eq(next), authority::address.eq(address));
        diesel::update(authority::table).set(row).execute(self).map(|_| next)
    }

    async fn remember(&mut self, epoch: i64, replica_ids: &[&str]) -> QueryResult<bool> {
        if authority::table.select(authority::epoch).first::<i64>(self)? != epoch {
            return Ok(false);
        }
        diesel::delete(replicas::table).execute(self)?;
        for replica_id in replica_ids {
            diesel::insert_into(replicas::table).values(replicas::replica_id.eq(*replica_id)).execute(self)?;
        }
        Ok(true)
    }

    async fn put_limits(&mut self, limits: &[(ClientId, Limit)], revision: i64) -> QueryResult<()> {
        for chunk in limits.chunks(ROWS_PER_STATEMENT) {
            let row = |(id, limit): &(ClientId, Limit)| NewLimit {
                client_id: id.as_str().into(),
                capacity: limit.capacity(),
                rate_per_sec: limit.rate_per_sec(),
                revision,
            };
            let rows: Vec<NewLimit> = chunk.iter().map(row).collect();
            let insert = diesel::insert_into(limits::table).values(rows).on_conflict(limits::client_id);
            let replaced = (
                limits::capacity.eq(excluded(limits::capacity)),
                limits::rate_per_sec.eq(excluded(limits::rate_per_sec)),
                limits::revision.eq(excluded(limits::revision)),
                limits::updated_at.eq(diesel::dsl::now),
            );
            insert.do_update().set(replaced).execute(self)?;
        }
        Ok(())
    }

    async fn legacy_rows(&mut self) -> QueryResult<Option<Vec<LegacyRecord>>> {
        let pending: Exists = diesel::sql_query(
            "SELECT legacy_imported_at IS NULL AND EXISTS \
             (SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = 'clients_limits') AS yes FROM meta",
        )
        .get_result(self)?;
        if !pending.yes {
            return Ok(None);
        }
        // CAST makes 0 of what is not a number; typeof tells.
        let rows: Vec<LegacyRow> = diesel::sql_query(
            "SELECT CAST(client_id AS TEXT) AS client_id, \
             CASE WHEN typeof(capacity) IN ('integer', 'real') THEN CAST(capacity AS REAL) END AS capacity, \
             CASE WHEN typeof(rate_per_sec) IN ('integer', 'real') THEN CAST(rate_per_sec AS REAL) END AS rate_per_sec \
             FROM clients_limits ORDER BY id",
        )
        .load(self)?;
        Ok(Some(rows.into_iter().map(LegacyRecord::from).collect()))
    }
}

/// A row to insert into `limits`.
#[derive(Insertable)]
#[diesel(table_name = limits, treat_none_as_default_value = false)]
struct NewLimit {
    client_id: String,
    capacity: f64,
    rate_per_sec: f64,
    revision: i64,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

#[derive(QueryableByName)]
struct LegacyRow {
    #[diesel(sql_type = Nullable<Text>)]
    client_id: Option<String>,
    #[diesel(sql_type = Nullable<Double>)]
    capacity: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    rate_per_sec: Option<f64>,
}

impl From<LegacyRow> for LegacyRecord {
    fn from(row: LegacyRow) -> Self {
        Self { client_id: row.client_id, capacity: row.capacity, rate_per_sec: row.rate_per_sec }
    }
}
