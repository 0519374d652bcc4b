//! The end-to-end stories: each starts the real programs and says what a user, an operator or a fault sees of them.

/// Makes a story two tests: one per database.
macro_rules! on_both_databases {
    ($story:ident) => {
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() -> anyhow::Result<()> {
                super::$story(e2e::Database::sqlite()?).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() -> anyhow::Result<()> {
                super::$story(e2e::Database::postgres()?).await
            }
        }
    };
}

mod admin_flood;
mod backend_http2;
mod backend_lost;
mod backend_tls;
mod bad_backends;
mod bad_input;
mod disk_full;
mod durability;
mod global_limits;
mod grpc;
mod health;
mod import;
mod legacy;
mod limits;
mod logs;
mod messages;
mod mutual_tls;
mod operators;
mod proxy_bodies;
mod proxy_connections;
mod proxy_headers;
mod quickstart;
mod refused_starts;
mod reload;
mod replaced_database;
mod saved_snapshot;
mod second_signal;
mod shutdown;
mod static_stability;
mod strategies;
mod two_control_planes;
mod waiting_for_the_database;
