//! The first five minutes: `balancer`, both planes in one process, with a SQLite file.

use std::net::SocketAddr;

use anyhow::Result;
use e2e::{Backend, ConfigFile, Database, Process, Program, http, scrape, wait};
use http::{Answer, get};
use hyper::StatusCode;
use tempfile::TempDir;

struct AllInOne {
    process: Process,
    proxy: SocketAddr,
    admin: SocketAddr,
    _backends: Vec<Backend>,
    _dir: TempDir,
}

async fn start() -> Result<AllInOne> {
    let backends = vec![Backend::start().await?, Backend::start().await?];
    let dir = tempfile::tempdir()?;
    let mut config = ConfigFile::new(format!("sqlite://{}", dir.path().join("balancer.db").display()));
    config.default_limits = "{ capacity: 5, rate_per_sec: 0.1 }".into();
    config.backend_urls = backends.iter().map(Backend::url).collect();
    let program = Program::new("balancer").arg("--config").arg(config.write(dir.path())?);
    let mut process = program.dir(dir.path()).start()?;
    let (proxy, admin) = (process.listening("proxy").await?, process.listening("admin").await?);
    let ready = async || get(admin, "/readyz").await.is_ok_and(|a| a.status == 200) && has_snapshot(admin).await;
    wait::until_true("both planes to be ready", ready).await?;
    Ok(AllInOne { process, proxy, admin, _backends: backends, _dir: dir })
}

async fn has_snapshot(admin: SocketAddr) -> bool {
    scrape(admin, None).await.is_ok_and(|metrics| metrics.get("balancer_snapshot_revision").is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_requests_pass_and_the_sixth_is_told_when_to_come_back() -> Result<()> {
    let balancer = start().await?;
    let first = get(balancer.proxy, "/hello?a=b").await?;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()?["target"], "/hello?a=b");
    assert_eq!(first.header("ratelimit-policy"), r#""default";q=5;w=50"#);
    assert_eq!(first.header("ratelimit"), r#""default";r=4;t=10"#);
    for left in (0..4).rev() {
        let answer = get(balancer.proxy, "/").await?;
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").starts_with(&format!(r#""default";r={left};t="#)), "{:?}", answer.headers);
    }
    let sixth = get(balancer.proxy, "/").await?;
    sixth.problem(StatusCode::TOO_MANY_REQUESTS)?;
    let wait_sec: u32 = sixth.header("retry-after").parse()?;
    assert!((1..=10).contains(&wait_sec), "{wait_sec}");
    assert!(!sixth.header("x-request-id").is_empty() && sixth.header("ratelimit").contains(";r=0;"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_made_over_rest_holds_at_once() -> Result<()> {
    let balancer = start().await?;
    let rest = async |method: &str, path: &str, body: &str| -> Result<Answer> {
        http::send(balancer.admin, method, path, &[("content-type", "application/json")], body.to_owned()).await
    };
    let policy = async |expected: &str| {
        wait::until_true(&format!("policy {expected}"), async || {
            let answer = http::send(balancer.proxy, "GET", "/", &[("x-api-key", "alice")], "").await;
            answer.is_ok_and(|a| a.header("ratelimit-policy") == expected)
        })
        .await
    };
    let created = rest("POST", "/limits/create", r#"{"client_id":"alice","capacity":1000,"rate_per_sec":100}"#).await?;
    assert_eq!((created.status, created.text().as_str()), (201, ""));
    let arrived = policy(r#""client";q=1000;w=10"#).await?;
    println!("a created limit held after {} ms", arrived.as_millis());
    for (target, body) in [("/limits/get", r#"{"client_id":"alice"}"#), ("/limits/get?client_id=alice", "")] {
        let got = rest("GET", target, body).await?;
        assert_eq!(got.status, 200);
        assert_eq!(got.json()?, serde_json::json!({"client_id": "alice", "capacity": 1000, "rate_per_sec": 100}));
    }
    let updated = rest("PUT", "/limits/update", r#"{"client_id":"alice","capacity":500,"rate_per_sec":50}"#).await?;
    assert_eq!((updated.status, updated.text().as_str()), (204, ""));
    policy(r#""client";q=500;w=10"#).await?;
    let deleted = rest("DELETE", "/limits/delete", r#"{"client_id":"alice"}"#).await?;
    assert_eq!((deleted.status, deleted.text().as_str()), (204, ""));
    policy(r#""default";q=5;w=50"#).await?;
    rest("GET", "/limits/get?client_id=alice", "").await?.problem(StatusCode::NOT_FOUND)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_page_has_the_metrics_of_both_planes() -> Result<()> {
    let balancer = start().await?;
    assert_eq!(get(balancer.proxy, "/").await?.status, 200);
    let metrics = scrape(balancer.admin, None).await?;
    assert_eq!(metrics.get(r#"balancer_requests_total{class="2xx"}"#), Some(1.0));
    assert_eq!(metrics.sum("balancer_backend_requests_total", r#"class="2xx""#), 1.0);
    assert_eq!(metrics.get("balancer_sync_connected"), Some(1.0));
    assert_eq!(metrics.get("balancer_controlplane_database_up"), Some(1.0));
    assert_eq!(metrics.get("balancer_controlplane_replicas"), Some(1.0));
    assert_eq!(metrics.get("balancer_controlplane_revision"), metrics.get("balancer_snapshot_revision"));
    for path in ["/healthz", "/readyz", "/docs", "/openapi.json"] {
        let answer = get(balancer.admin, path).await?;
        assert!(answer.status < 400, "{path}: {}", answer.status);
    }
    let openapi = get(balancer.admin, "/openapi.json").await?.json()?;
    assert!(openapi["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{openapi}");
    get(balancer.admin, "/nope").await?.problem(StatusCode::NOT_FOUND)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_a_request_in_flight_finish() -> Result<()> {
    let mut balancer = start().await?;
    let proxy = balancer.proxy;
    let slow = tokio::spawn(async move { get(proxy, "/delay/1000").await });
    wait::until_true("the request to be in flight", async || {
        let metrics = scrape(balancer.admin, None).await;
        metrics.is_ok_and(|m| m.get("balancer_requests_in_flight") == Some(1.0))
    })
    .await?;
    balancer.process.sigterm()?;
    let answer = slow.await??;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(balancer.process.exit_code().await?, 0);
    assert!(get(proxy, "/").await.is_err(), "nobody listens any more");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_needs_nothing_but_the_program() -> Result<()> {
    let Database::Sqlite(dir) = Database::sqlite()? else { unreachable!("it is what was asked for") };
    let flags = ["--demo", "--demo-port", "0", "--server-port", "0", "--admin-port", "0"];
    let mut process = Program::new("balancer").args(flags).dir(dir.path()).start()?;
    let (proxy, admin) = (process.listening("proxy").await?, process.listening("admin").await?);
    wait::until_true("a snapshot", async || has_snapshot(admin).await).await?;
    let answer = get(proxy, "/").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.header("x-backend").is_empty());
    process.sigterm()?;
    assert_eq!(process.exit_code().await?, 0);
    Ok(())
}
