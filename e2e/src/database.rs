//! The database of a story: fresh, and gone afterwards.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};
use tempfile::TempDir;
use test_postgres::Cluster;

/// Either of the two databases.
pub enum Database {
    /// A file in a directory of its own.
    Sqlite(TempDir),
    /// A PostgreSQL cluster of its own.
    Postgres(Cluster),
}

impl Database {
    /// An empty SQLite database.
    ///
    /// # Errors
    /// When there is no temporary directory.
    pub fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite(tempfile::tempdir()?))
    }

    /// An empty PostgreSQL database.
    ///
    /// # Errors
    /// When PostgreSQL is not installed.
    pub fn postgres() -> Result<Self> {
        Ok(Self::Postgres(Cluster::start()?))
    }

    /// As the configuration names it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite://{}", dir.path().join("balancer.db").display()),
            Self::Postgres(cluster) => cluster.url(),
        }
    }

    /// The cluster, to be killed and started again.
    ///
    /// # Errors
    /// When this is SQLite.
    pub fn cluster(&mut self) -> Result<&mut Cluster> {
        match self {
            Self::Postgres(cluster) => Ok(cluster),
            Self::Sqlite(_) => bail!("SQLite has no server"),
        }
    }

    /// The files of a SQLite database as they are now.
    ///
    /// # Errors
    /// When this is PostgreSQL.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let Self::Sqlite(dir) = self else { bail!("PostgreSQL keeps its files to itself") };
        fs::read_dir(dir.path())?.map(|entry| Ok(entry?.path())).collect()
    }

    /// What status calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}
