//! Taking over from the legacy service: its variables, its file, its table.

use std::fs;

use anyhow::{Context, Result};
use e2e::{ControlPlane, Database, Program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_variables_file_and_table_are_enough() -> Result<()> {
    let mut database = Database::postgres()?;
    database.cluster()?.execute(
        "CREATE TABLE clients_limits (id serial PRIMARY KEY, client_id text, capacity integer, rate_per_sec integer); \
         INSERT INTO clients_limits (client_id, capacity, rate_per_sec) VALUES ('123.5.6.7:890', 10, 1), ('old', 5, 0), ('bad', 0, 1)",
    )?;
    let (dir, port) = (tempfile::tempdir()?, database.cluster()?.port().to_string());
    let config = dir.path().join("config.yaml");
    fs::write(
        &config,
        "server:\n  host: 127.0.0.1\n  port: 8080\nticker_rate_sec: 1\n\
         default_limits:\n  capacity: 5\n  rate_per_sec: 1\n\
         backend_list:\n  - backend_url: http://127.0.0.1:8081\n    config:\n      health:\n        method: HEAD\n        url: /\n",
    )?;
    let variables =
        [("PG_HOST", "127.0.0.1"), ("PG_PORT", &port), ("PG_DATABASE_NAME", "postgres"), ("PG_USER", "postgres")];
    let program = Program::new("controlplane").arg("--config").arg(&config).env("BALANCER_ADMIN_PORT", "0");
    let program = variables.iter().fold(program, |program, (name, value)| program.env(name, *value));
    let mut plane = ControlPlane::start_program(program, None).await?;
    plane.ready().await?;
    let status = plane.status().await?;
    assert_eq!((status.database.as_str(), status.limits), ("postgresql", 2));
    let answer = plane.rest("GET", "/limits/get?client_id=123.5.6.7:890", "").await?;
    assert_eq!(answer.text().trim(), r#"{"client_id":"123.5.6.7:890","capacity":10,"rate_per_sec":1}"#);
    assert_eq!(plane.rest("GET", "/limits/get?client_id=bad", "").await?.status, 404);
    let backend = status.backends.first().and_then(|b| b.backend.clone()).context("the one of the file")?;
    let check = backend.health_check.context("it is checked")?;
    assert_eq!((check.method.as_str(), check.path.as_str()), ("HEAD", "/"));

    assert_eq!(plane.rest("DELETE", "/limits/delete?client_id=old", "").await?.status, 204);
    plane.process.sigterm()?;
    assert_eq!(plane.process.exit_code().await?, 0);
    plane.start_again().await?;
    assert_eq!(plane.rest("GET", "/limits/get?client_id=old", "").await?.status, 404, "taken over once, not twice");
    database.cluster()?.execute("DO $$ BEGIN ASSERT (SELECT count(*) FROM clients_limits) = 3; END $$")
}
