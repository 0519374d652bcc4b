//! Several control planes may share a database; one of them may be the authority.

use std::time::Duration;

use super::postgres::Claim;
use super::{Database, Store, StoreError};

/// A control plane that wants to be the authority, or is it. It is not any more when this is dropped.
pub struct Candidate(Kind);

enum Kind {
    /// A SQLite file has one control plane.
    Alone,
    /// Who has the lock is the authority.
    Among(Claim),
}

impl Store {
    /// Enters as a candidate.
    pub async fn candidate(&self) -> Result<Candidate, StoreError> {
        Ok(Candidate(match &self.inner.database {
            Database::Sqlite(_) => Kind::Alone,
            Database::Postgres(postgres) => Kind::Among(postgres.claim().await?),
        }))
    }
}

impl Candidate {
    /// Tries to become the authority; answers the URL of another that is (empty: it is not known).
    pub async fn try_take(&mut self) -> Result<Option<String>, StoreError> {
        match &mut self.0 {
            Kind::Alone => Ok(None),
            Kind::Among(claim) => claim.try_take().await,
        }
    }

    /// Asks whether it is still the authority; an error means that it may not be.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Alone => Ok(()),
            Kind::Among(claim) => claim.confirm().await,
        }
    }

    /// For how long it is the authority after it began to ask and was told that it is; `None`: for good.
    pub fn lasts(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Alone => None,
            Kind::Among(_) => Some(Claim::LASTS),
        }
    }

    /// Ends when it is known not to be the authority any more.
    pub async fn lost(&mut self) -> StoreError {
        match &mut self.0 {
            Kind::Alone => std::future::pending().await,
            Kind::Among(claim) => claim.broken().await,
        }
    }
}
