//! A fresh database, and shorthands for domain values.

use std::sync::OnceLock;

use controlplane::domain::{
    BackendSpec, BackendUrl, ClientId, ClientRules, DefaultLimit, HealthCheck, Limit, LimitScope, Settings, Strategy,
};
use controlplane::store::{DatabaseConfig, Store};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use tempfile::TempDir;
use test_postgres::Cluster;

/// Makes each case twice: `sqlite::case` and `postgres::case`. A case takes a [`Fixture`].
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::fixture::Fixture::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case($crate::fixture::Fixture::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// An empty database.
pub(crate) struct Fixture {
    pub(crate) config: DatabaseConfig,
    url: String,
    _directory: Option<TempDir>,
}

impl Fixture {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("balancer.db").display());
        Self { config: DatabaseConfig::parse(&url).unwrap(), url, _directory: Some(directory) }
    }

    /// A database in a cluster that all tests of this process share.
    pub(crate) fn postgres() -> Self {
        // Never dropped; the cluster's guard ends it with the process.
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(|| Cluster::start().unwrap());
        let url = cluster.create_database().unwrap();
        Self { config: DatabaseConfig::parse(&url).unwrap(), url, _directory: None }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.config).await.unwrap()
    }

    /// Runs SQL past the store.
    pub(crate) async fn execute(&self, sql: &str) {
        match self.url.strip_prefix("sqlite://") {
            Some(path) => SqliteConnection::establish(path).unwrap().batch_execute(sql).unwrap(),
            None => postgres_client(&self.url).await.batch_execute(sql).await.unwrap(),
        }
    }

    /// Names of all tables but the list of migrations.
    pub(crate) async fn tables(&self) -> Vec<String> {
        match self.url.strip_prefix("sqlite://") {
            Some(path) => sqlite_tables(path),
            None => {
                let client = postgres_client(&self.url).await;
                let sql = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' \
                           AND table_name NOT LIKE '%diesel%' ORDER BY 1";
                client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

pub(crate) async fn postgres_client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn sqlite_tables(path: &str) -> Vec<String> {
    use diesel::prelude::*;
    diesel::table! { sqlite_master (name) { name -> Text, #[sql_name = "type"] kind -> Text, } }
    let mut connection = SqliteConnection::establish(path).unwrap();
    let tables = sqlite_master::table.filter(sqlite_master::kind.eq("table")).order(sqlite_master::name);
    let names: Vec<String> = tables.select(sqlite_master::name).load(&mut connection).unwrap();
    names.into_iter().filter(|name| !name.contains("diesel") && !name.starts_with("sqlite_")).collect()
}

pub(crate) fn client(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

pub(crate) fn limit(capacity: f64, rate_per_sec: f64) -> Limit {
    Limit::new(capacity, rate_per_sec).unwrap()
}

pub(crate) fn backend(port: u16) -> BackendSpec {
    let url = BackendUrl::new(&format!("http://127.0.0.1:{port}")).unwrap();
    BackendSpec { url, weight: 1, health_check: HealthCheck::default() }
}

pub(crate) fn settings() -> Settings {
    Settings {
        default_limit: DefaultLimit::Limited(limit(5.0, 0.1)),
        strategy: Strategy::RoundRobin,
        client: ClientRules { header: Some("X-API-Key".into()), trusted_proxies: Vec::new(), ipv6_prefix: 64 },
        backend_ca: None,
        limit_scope: LimitScope::Global,
    }
}
