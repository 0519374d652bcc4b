//! Makes connections.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{refusal, tls};
use crate::store::config::describe;
use crate::store::{PostgresConfig, StoreError, TlsMode};

/// How long a connection may take to be usable: address, TLS and authentication.
const WITHIN: Duration = Duration::from_secs(3);

/// The server gives up a little after the client did, so that it is the client that says so.
const SESSION: &str = "SET statement_timeout = '4s'; SET idle_in_transaction_session_timeout = '10s'";

/// Knows the server's address and how to protect the connection.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

/// A connection of tokio-postgres that somebody has to drive.
pub(super) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Connector {
    /// Reads the root certificates, if any are needed.
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, StoreError> {
        let mut connection = config.connection.clone();
        // Like libpq: a Unix socket needs no TLS, whatever sslmode says.
        let local = connection.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        connection.ssl_mode(match config.tls_mode {
            _ if local => SslMode::Disable,
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        let tls = tls::client_config(config.tls_mode, config.root_cert.as_deref())?;
        Ok(Self { config: connection, tls: MakeRustlsConnect::new(tls) })
    }

    /// A connection for diesel.
    pub(super) async fn connect(&self) -> Result<AsyncPgConnection, StoreError> {
        let (client, driver) = self.connect_raw().await?;
        let made = AsyncPgConnection::try_from_client_and_connection(client, driver).await;
        made.map_err(|e| StoreError::Unavailable(e.to_string()))
    }

    /// A connection that gives up on what takes too long. Diesel's errors are the way through the pool: what the server
    /// refuses is the URL's fault, everything else the connection's.
    pub(super) async fn connect_for_pool(&self) -> Result<AsyncPgConnection, ConnectionError> {
        let mut connection = self.connect().await.map_err(|error| match error {
            StoreError::Unavailable(reason) => ConnectionError::BadConnection(reason),
            StoreError::Refused(reason) => ConnectionError::InvalidConnectionUrl(reason),
            other => ConnectionError::BadConnection(other.to_string()),
        })?;
        let set = connection.batch_execute(SESSION).await;
        set.map_err(|e| ConnectionError::BadConnection(e.to_string()))?;
        Ok(connection)
    }

    /// A connection whose messages the caller wants to see.
    pub(super) async fn connect_raw(&self) -> Result<(Client, Driver), StoreError> {
        match tokio::time::timeout(WITHIN, self.config.connect(self.tls.clone())).await {
            Ok(connected) => connected.map_err(|error| match refusal::sentence(&self.config, &error) {
                Some(sentence) => StoreError::Refused(sentence),
                None => StoreError::Unavailable(describe(&error)),
            }),
            Err(_) => Err(StoreError::timed_out(WITHIN)),
        }
    }
}
