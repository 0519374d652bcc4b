//! [`Rows`] over PostgreSQL.

use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text};
use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult, QueryableByName,
    SelectableHelper,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::CHANNEL;
use crate::domain::{ClientId, Limit};
use crate::store::records::{BackendRecord, LegacyRecord, LimitRecord, Meta, SettingsRecord};
use crate::store::rows::{Rows, shared_rows};
use crate::store::schema::{backends, limit_tombstones, limits, meta, replicas, revisions, settings};

/// Rows per INSERT; bounds what one statement takes in memory and time.
const ROWS_PER_STATEMENT: usize = 5000;

impl Rows for AsyncPgConnection {
    shared_rows!([.await]);

    async fn lock_meta(&mut self) -> QueryResult<Meta> {
        meta::table.select(Meta::as_select()).for_update().first(self).await
    }

    async fn put_meta(&mut self, row: &Meta) -> QueryResult<()> {
        diesel::update(meta::table).set(row).execute(self).await?;
        // Delivered at commit, and not at all if the transaction is rolled back.
        let notify = diesel::sql_query("SELECT pg_notify($1, $2)").bind::<Text, _>(CHANNEL);
        notify.bind::<Text, _>(row.revision.to_string()).execute(self).await.map(drop)
    }

    async fn begin_epoch(&mut self, at_least: i64, address: &str) -> QueryResult<i64> {
        let begin = "UPDATE authority SET epoch = greatest(epoch + 1, $1), address = $2 RETURNING epoch";
        let begin = diesel::sql_query(begin).bind::<BigInt, _>(at_least).bind::<Text, _>(address);
        begin.get_result(self).await.map(|row: Epoch| row.epoch)
    }

    async fn remember(&mut self, epoch: i64, replica_ids: &[&str]) -> QueryResult<bool> {
        let remember = diesel::sql_query(
            "WITH newest AS (SELECT epoch FROM authority WHERE epoch = $1 FOR UPDATE), \
             gone AS (DELETE FROM replicas WHERE EXISTS (SELECT FROM newest) AND replica_id <> ALL ($2)), \
             new AS (INSERT INTO replicas SELECT UNNEST($2) WHERE EXISTS (SELECT FROM newest) ON CONFLICT DO NOTHING) \
             SELECT EXISTS (SELECT FROM newest) AS yes",
        );
        let remember = remember.bind::<BigInt, _>(epoch).bind::<Array<Text>, _>(replica_ids);
        remember.get_result(self).await.map(|row: Exists| row.yes)
    }

    async fn put_limits(&mut self, limits: &[(ClientId, Limit)], revision: i64) -> QueryResult<()> {
        for chunk in limits.chunks(ROWS_PER_STATEMENT) {
            put_chunk(self, chunk, revision).await?;
        }
        Ok(())
    }

    async fn legacy_rows(&mut self) -> QueryResult<Option<Vec<LegacyRecord>>> {
        let pending: Exists = diesel::sql_query(
            "SELECT legacy_imported_at IS NULL AND to_regclass('clients_limits') IS NOT NULL AS yes FROM meta",
        )
        .get_result(self)
        .await?;
        if !pending.yes {
            return Ok(None);
        }
        // As text: a `real` 0.1 becomes 0.1 and not 0.10000000149, and a numeric beyond a double does not end the query.
        let rows: Vec<LegacyRow> = diesel::sql_query(
            "SELECT client_id::text AS client_id, capacity::text AS capacity, rate_per_sec::text AS rate_per_sec \
             FROM clients_limits ORDER BY id",
        )
        .load(self)
        .await?;
        Ok(Some(rows.into_iter().map(LegacyRecord::from).collect()))
    }
}

async fn put_chunk(connection: &mut AsyncPgConnection, limits: &[(ClientId, Limit)], revision: i64) -> QueryResult<()> {
    let client_ids: Vec<&str> = limits.iter().map(|(id, _)| id.as_str()).collect();
    let capacities: Vec<f64> = limits.iter().map(|(_, limit)| limit.capacity()).collect();
    let rates: Vec<f64> = limits.iter().map(|(_, limit)| limit.rate_per_sec()).collect();
    diesel::sql_query(
        "INSERT INTO limits (client_id, capacity, rate_per_sec, revision) \
             SELECT client_id, capacity, rate_per_sec, $4 \
             FROM UNNEST($1, $2, $3) AS new (client_id, capacity, rate_per_sec) \
             ON CONFLICT (client_id) DO UPDATE SET capacity = excluded.capacity, \
             rate_per_sec = excluded.rate_per_sec, revision = excluded.revision, updated_at = now()",
    )
    .bind::<Array<Text>, _>(client_ids)
    .bind::<Array<Double>, _>(capacities)
    .bind::<Array<Double>, _>(rates)
    .bind::<BigInt, _>(revision)
    .execute(connection)
    .await
    .map(drop)
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

#[derive(QueryableByName)]
struct Epoch {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

#[derive(QueryableByName)]
struct LegacyRow {
    #[diesel(sql_type = Nullable<Text>)]
    client_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    capacity: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    rate_per_sec: Option<String>,
}

impl From<LegacyRow> for LegacyRecord {
    fn from(row: LegacyRow) -> Self {
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Self { client_id: row.client_id, capacity: number(row.capacity), rate_per_sec: number(row.rate_per_sec) }
    }
}
