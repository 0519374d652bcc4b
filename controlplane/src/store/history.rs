//! Which past a revision belongs to: a database restored from a backup and then changed has the same numbers again, for
//! other changes. So each revision gets a random mark.

use super::StoreError;
use super::records::Meta;
use super::rows::Rows;

/// Revisions whose marks are kept, at least; a reader further behind has to load everything.
const KEPT: i64 = 100_000;
/// Old marks are forgotten so many at a time.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// Puts `meta` back with the revision taken, and gives that revision its mark. The last thing a change does.
pub(super) async fn commit<C: Rows>(rows: &mut C, meta: &Meta) -> Result<(), StoreError> {
    rows.put_mark(meta.revision, fastrand::i64(..)).await?;
    if meta.revision % FORGOTTEN_AT_ONCE == 0 {
        rows.drop_marks_through(meta.revision - KEPT).await?;
    }
    Ok(rows.put_meta(meta).await?)
}

/// The mark of a revision; 0 if it is not known (any more).
pub(super) async fn mark<C: Rows>(rows: &mut C, revision: i64) -> Result<i64, StoreError> {
    Ok(rows.mark_of(revision).await?.unwrap_or_default())
}
