//! Ledgers that were started, and the data planes that may hold tokens of the newest.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::rows::{Operation, Rows, Written};
use super::{Access, Store, StoreError};

/// A ledger that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Greater than that of every ledger before.
    pub number: u64,
    /// Data planes that may hold tokens of the ledger before.
    pub remembered: BTreeSet<String>,
}

impl Store {
    /// Begins an epoch, whose ledger is kept at this URL (empty: it is not known).
    pub async fn begin_epoch(&self, address: &str) -> Result<Epoch, StoreError> {
        // Data planes may know epochs that a restored or replaced database does not: no epoch is before its time, in
        // seconds since 1970.
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_least = since_1970.as_secs().cast_signed();
        self.write(Begin { address: address.to_owned(), at_least }, Access::Steps).await
    }

    /// Remembers exactly these data planes, if no other epoch has begun since; answers whether that is so.
    pub async fn remember(&self, epoch: u64, replicas: BTreeSet<String>) -> Result<bool, StoreError> {
        self.write(Remember { epoch, replicas }, Access::Steps).await
    }
}

struct Begin {
    address: String,
    at_least: i64,
}

impl Operation for Begin {
    type Answer = Written<Epoch>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<Epoch>, StoreError> {
        let number = rows.begin_epoch(self.at_least, &self.address).await?;
        // Read after: from now on the ledger before cannot change it.
        let remembered = rows.replicas().await?.into_iter().collect();
        Ok((Epoch { number: number.cast_unsigned(), remembered }, UNCHANGED))
    }
}

struct Remember {
    epoch: u64,
    replicas: BTreeSet<String>,
}

impl Operation for Remember {
    type Answer = Written<bool>;

    async fn run<C: Rows>(self, rows: &mut C) -> Result<Written<bool>, StoreError> {
        let replica_ids: Vec<&str> = self.replicas.iter().map(String::as_str).collect();
        Ok((rows.remember(self.epoch.cast_signed(), &replica_ids).await?, UNCHANGED))
    }
}

/// None of this is configuration: the newest revision stays what it was.
const UNCHANGED: u64 = 0;
