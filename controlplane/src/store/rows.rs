//! What the store does to single tables, as one trait that both databases implement. The operations above it
//! (`limits`, `backends`, …) are written once, against this trait.

use diesel::QueryResult;

use super::StoreError;
use super::records::{BackendRecord, LegacyRecord, LimitRecord, Meta, SettingsRecord};
use crate::domain::{ClientId, Limit};

/// Something done in one transaction.
pub(super) trait Operation: Send + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// Does it; an error rolls the transaction back.
    fn run<C: Rows>(self, rows: &mut C) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// An answer and the newest revision after it.
pub(super) type Written<T> = (T, u64);

macro_rules! declare {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// Rows of the tables, within one transaction.
        pub(super) trait Rows: Send {
            $($(#[$doc])* fn $name(&mut self $(, $arg: $type)*) -> impl Future<Output = QueryResult<$answer>> + Send;)*
        }
    };
}

declare! {
    /// The row of `meta`.
    fn meta() -> Meta;
    /// The row of `meta`, locked until the transaction ends: one writer at a time.
    fn lock_meta() -> Meta;
    /// Puts the row back and tells other control planes.
    fn put_meta(meta: &Meta) -> ();

    /// The mark of a revision, unless it is too old or never was.
    fn mark_of(revision: i64) -> Option<i64>;
    /// Enters a revision with its mark.
    fn put_mark(revision: i64, mark: i64) -> ();
    /// Forgets revisions up to and including one.
    fn drop_marks_through(revision: i64) -> ();

    /// One limit.
    fn limit(client_id: &str) -> Option<LimitRecord>;
    /// Those of the given limits that exist.
    fn limits_among(client_ids: &[&str]) -> Vec<LimitRecord>;
    /// Up to `count` limits from `from` (after it, if `exclusive`) to before `to`, bytewise.
    fn limits_between(from: &str, exclusive: bool, to: Option<&str>, count: u32) -> Vec<LimitRecord>;
    /// Limits that changed after a revision, by client_id; 0: all.
    fn limits_since(revision: i64) -> Vec<LimitRecord>;
    /// Clients whose limit changed after a revision, `at_most` so many.
    fn limit_ids_since(revision: i64, at_most: u32) -> Vec<String>;
    /// Creates or changes limits; no client_id may come twice.
    fn put_limits(limits: &[(ClientId, Limit)], revision: i64) -> ();
    /// Deletes one limit and answers how many there were.
    fn delete_limit(client_id: &str) -> usize;

    /// Clients whose limit was deleted after a revision.
    fn tombstones_since(revision: i64) -> Vec<String>;
    /// Remembers a deletion.
    fn put_tombstone(client_id: &str, revision: i64) -> ();
    /// Forgets deletions because the limits exist again; answers how many there were.
    fn drop_tombstones(client_ids: &[&str]) -> usize;
    /// Revision of the newest tombstone but `newer`.
    fn tombstone_revision(newer: i64) -> Option<i64>;
    /// Forgets deletions up to and including a revision; answers how many there were.
    fn drop_tombstones_through(revision: i64) -> usize;

    /// All backends, by id.
    fn backends() -> Vec<(i64, BackendRecord)>;
    /// Adds a backend and answers its id.
    fn insert_backend(backend: &BackendRecord) -> i64;
    /// Changes a backend.
    fn update_backend(id: i64, backend: &BackendRecord) -> ();
    /// Removes a backend.
    fn delete_backend(id: i64) -> ();

    /// The row of `settings`.
    fn settings() -> Option<SettingsRecord>;
    /// Makes or changes the row of `settings`.
    fn put_settings(settings: &SettingsRecord) -> ();

    /// Begins an epoch of at least this number, whose ledger is kept at this URL, and answers its number. PostgreSQL: one statement.
    fn begin_epoch(at_least: i64, address: &str) -> i64;
    /// Names of the data planes remembered.
    fn replicas() -> Vec<String>;
    /// Remembers exactly these data planes if the epoch is the newest, and answers whether it is. PostgreSQL: one
    /// statement.
    fn remember(epoch: i64, replica_ids: &[&str]) -> bool;

    /// The rows of the old service's table; `None`: there is no such table, or it was imported already.
    fn legacy_rows() -> Option<Vec<LegacyRecord>>;
    /// Remembers that the old table was imported.
    fn mark_legacy_imported() -> ();
}

/// The methods of [`Rows`] whose SQL is the same in both databases. diesel-async and diesel have the same names for
/// running a statement; `$run` is `.await` for the one and nothing for the other.
macro_rules! shared_rows {
    ([$($run:tt)*]) => {
        async fn meta(&mut self) -> QueryResult<Meta> {
            meta::table.select(Meta::as_select()).first(self)$($run)*
        }
        async fn limit(&mut self, client_id: &str) -> QueryResult<Option<LimitRecord>> {
            limits::table.find(client_id).select(LimitRecord::as_select()).first(self)$($run)*.optional()
        }
        async fn limits_among(&mut self, client_ids: &[&str]) -> QueryResult<Vec<LimitRecord>> {
            let among = limits::client_id.eq_any(client_ids);
            limits::table.filter(among).select(LimitRecord::as_select()).load(self)$($run)*
        }
        async fn limits_between(
            &mut self, from: &str, exclusive: bool, to: Option<&str>, count: u32,
        ) -> QueryResult<Vec<LimitRecord>> {
            let mut query = limits::table.select(LimitRecord::as_select()).into_boxed();
            query = match exclusive {
                true => query.filter(limits::client_id.gt(from)),
                false => query.filter(limits::client_id.ge(from)),
            };
            if let Some(to) = to {
                query = query.filter(limits::client_id.lt(to));
            }
            query.order(limits::client_id).limit(count.into()).load(self)$($run)*
        }
        async fn limits_since(&mut self, revision: i64) -> QueryResult<Vec<LimitRecord>> {
            let changed = limits::table.filter(limits::revision.gt(revision));
            changed.order(limits::client_id).select(LimitRecord::as_select()).load(self)$($run)*
        }
        async fn limit_ids_since(&mut self, revision: i64, at_most: u32) -> QueryResult<Vec<String>> {
            let changed = limits::table.filter(limits::revision.gt(revision));
            changed.select(limits::client_id).limit(at_most.into()).load(self)$($run)*
        }
        async fn mark_of(&mut self, revision: i64) -> QueryResult<Option<i64>> {
            revisions::table.find(revision).select(revisions::mark).first(self)$($run)*.optional()
        }
        async fn put_mark(&mut self, revision: i64, mark: i64) -> QueryResult<()> {
            let row = (revisions::revision.eq(revision), revisions::mark.eq(mark));
            diesel::insert_into(revisions::table).values(row).execute(self)$($run)*.map(drop)
        }
        async fn drop_marks_through(&mut self, revision: i64) -> QueryResult<()> {
            let old = revisions::table.filter(revisions::revision.le(revision));
            diesel::delete(old).execute(self)$($run)*.map(drop)
        }
        async fn delete_limit(&mut self, client_id: &str) -> QueryResult<usize> {
            diesel::delete(limits::table.find(client_id)).execute(self)$($run)*
        }
        async fn tombstones_since(&mut self, revision: i64) -> QueryResult<Vec<String>> {
            let newer = limit_tombstones::table.filter(limit_tombstones::revision.gt(revision));
            newer.order(limit_tombstones::client_id).select(limit_tombstones::client_id).load(self)$($run)*
        }
        async fn put_tombstone(&mut self, client_id: &str, revision: i64) -> QueryResult<()> {
            let row = (limit_tombstones::client_id.eq(client_id), limit_tombstones::revision.eq(revision));
            diesel::insert_into(limit_tombstones::table).values(row).execute(self)$($run)*.map(drop)
        }
        async fn drop_tombstones(&mut self, client_ids: &[&str]) -> QueryResult<usize> {
            let among = limit_tombstones::client_id.eq_any(client_ids);
            diesel::delete(limit_tombstones::table.filter(among)).execute(self)$($run)*
        }
        async fn tombstone_revision(&mut self, newer: i64) -> QueryResult<Option<i64>> {
            let newest_first = limit_tombstones::table.order(limit_tombstones::revision.desc());
            let one = newest_first.offset(newer).limit(1).select(limit_tombstones::revision);
            one.first(self)$($run)*.optional()
        }
        async fn drop_tombstones_through(&mut self, revision: i64) -> QueryResult<usize> {
            let old = limit_tombstones::table.filter(limit_tombstones::revision.le(revision));
            diesel::delete(old).execute(self)$($run)*
        }
        async fn backends(&mut self) -> QueryResult<Vec<(i64, BackendRecord)>> {
            let columns = (backends::id, BackendRecord::as_select());
            backends::table.order(backends::id).select(columns).load(self)$($run)*
        }
        async fn insert_backend(&mut self, backend: &BackendRecord) -> QueryResult<i64> {
            let insert = diesel::insert_into(backends::table).values(backend);
            insert.returning(backends::id).get_result(self)$($run)*
        }
        async fn update_backend(&mut self, id: i64, backend: &BackendRecord) -> QueryResult<()> {
            diesel::update(backends::table.find(id)).set(backend).execute(self)$($run)*.map(drop)
        }
        async fn delete_backend(&mut self, id: i64) -> QueryResult<()> {
            diesel::delete(backends::table.find(id)).execute(self)$($run)*.map(drop)
        }
        async fn settings(&mut self) -> QueryResult<Option<SettingsRecord>> {
            settings::table.select(SettingsRecord::as_select()).first(self)$($run)*.optional()
        }
        async fn put_settings(&mut self, row: &SettingsRecord) -> QueryResult<()> {
            let insert = diesel::insert_into(settings::table).values((settings::id.eq(1_i16), row));
            insert.on_conflict(settings::id).do_update().set(row).execute(self)$($run)*.map(drop)
        }
        async fn replicas(&mut self) -> QueryResult<Vec<String>> {
            replicas::table.order(replicas::replica_id).select(replicas::replica_id).load(self)$($run)*
        }
        async fn mark_legacy_imported(&mut self) -> QueryResult<()> {
            let now = meta::legacy_imported_at.eq(diesel::dsl::now.nullable());
            diesel::update(meta::table).set(now).execute(self)$($run)*.map(drop)
        }
    };
}

pub(super) use shared_rows;
