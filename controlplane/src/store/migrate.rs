//! Embedded migrations: one set per database.

use diesel::backend::Backend;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;

const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");

/// A database that migrations are written for.
pub(super) trait Migrated: Backend {
    /// The migrations for it.
    fn migrations() -> EmbeddedMigrations;
}

impl Migrated for Pg {
    fn migrations() -> EmbeddedMigrations {
        POSTGRES
    }
}

impl Migrated for Sqlite {
    fn migrations() -> EmbeddedMigrations {
        SQLITE
    }
}

/// Runs what has not run yet; refuses a schema that a newer version made. Blocks.
pub(super) fn up<DB: Migrated>(database: &mut impl MigrationHarness<DB>) -> Result<(), StoreError> {
    refuse_newer(database)?;
    let run = database.run_pending_migrations(DB::migrations()).map_err(failed)?;
    for migration in run {
        tracing::info!(migration = %migration, "migration run");
    }
    Ok(())
}

/// Reverts everything, and with it removes all data. Blocks.
pub(super) fn down<DB: Migrated>(database: &mut impl MigrationHarness<DB>) -> Result<(), StoreError> {
    refuse_newer(database)?;
    database.revert_all_migrations(DB::migrations()).map_err(failed).map(drop)
}

fn refuse_newer<DB: Migrated>(database: &mut impl MigrationHarness<DB>) -> Result<(), StoreError> {
    let known = MigrationSource::<DB>::migrations(&DB::migrations()).map_err(failed)?;
    let known: Vec<_> = known.iter().map(|migration| migration.name().version().as_owned()).collect();
    let applied = database.applied_migrations().map_err(failed)?;
    match applied.iter().find(|version| !known.contains(version)) {
        Some(unknown) => Err(StoreError::TooNew { migration: unknown.to_string() }),
        None => Ok(()),
    }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::from_message(&super::config::describe(&*error))
}
