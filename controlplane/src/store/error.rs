//! What can go wrong in the store, sorted by whose fault it is and what to do next.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Invalid;

/// Why the store did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The thing named exists already.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// The thing named does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The backend with this URL is defined in the configuration file and can only be removed there.
    #[error("backend {0} is defined in the configuration file: remove it there")]
    BackendInFile(String),
    /// A value cannot be accepted.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database does not answer; try again later. A write whose commit was under way may have happened.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// The database does not let us in as we come, which waiting does not mend.
    #[error("{0}")]
    Refused(String),
    /// The database's disk is full.
    #[error("the database's disk is full: {0}")]
    Full(String),
    /// Another instance uses the same SQLite file.
    #[error(
        "{} is in use by another instance: stop that one, or give this one another database.url \
         (several control planes can share a PostgreSQL database, not a SQLite file)",
        path.display()
    )]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The database file is damaged or is not a database.
    #[error("the database is damaged or is not one: {0}; restore it from a backup")]
    Corrupt(String),
    /// The schema was made by a newer version of Balancer.
    #[error("the database has migration {migration}, which this version does not know: run the newer version")]
    TooNew {
        /// The newest migration that is unknown here.
        migration: String,
    },
    /// Anything else: a fault in Balancer, or a database set up in a way it does not expect.
    #[error("the database refused: {0}")]
    Internal(String),
}

/// Texts of SQLite and PostgreSQL that mean "no space left"; diesel passes on the text, not the code.
const FULL: [&str; 2] = ["database or disk is full", "No space left on device"];
/// Texts that mean the file cannot be trusted.
const CORRUPT: [&str; 2] = ["database disk image is malformed", "file is not a database"];
/// Texts that mean "not now".
const UNAVAILABLE: [&str; 10] = [
    "database is locked",
    "disk I/O error",
    "unable to open database file",
    "terminating connection",
    "canceling statement",
    "the database system is",
    "remaining connection slots",
    "too many clients",
    "read-only transaction",
    "readonly database",
];

impl StoreError {
    /// The database did not answer in time.
    pub(super) fn timed_out(within: Duration) -> Self {
        Self::Unavailable(format!("no answer within {} s", within.as_secs()))
    }

    /// Sorts a message of the database.
    pub(super) fn from_message(message: &str) -> Self {
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        match message {
            _ if says(&FULL) => Self::Full(message.into()),
            _ if says(&CORRUPT) => Self::Corrupt(message.into()),
            _ if says(&UNAVAILABLE) => Self::Unavailable(message.into()),
            _ => Self::Internal(message.into()),
        }
    }
}

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match &error {
            Error::DatabaseError(Kind::ClosedConnection | Kind::UnableToSendCommand, info) => {
                Self::Unavailable(info.message().into())
            }
            Error::DatabaseError(_, info) => Self::from_message(info.message()),
            Error::BrokenTransactionManager => Self::Unavailable("the connection was lost in a transaction".into()),
            Error::RollbackErrorOnCommit { commit_error, .. } => Self::from_message(&commit_error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted() {
        assert!(matches!(StoreError::from_message("database or disk is full"), StoreError::Full(_)));
        assert!(matches!(StoreError::from_message("file is not a database"), StoreError::Corrupt(_)));
        let starting = "the database system is starting up";
        assert!(matches!(StoreError::from_message(starting), StoreError::Unavailable(_)));
        assert!(matches!(StoreError::from_message("syntax error"), StoreError::Internal(_)));
    }
}
