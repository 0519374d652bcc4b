//! Backends that pass their health check and fail their requests.

use std::time::Instant;

use anyhow::Result;
use e2e::{Backend, Database, Deployment, Scripted, Setup, http, raw::Raw};
use hyper::StatusCode;

async fn in_front_of(url: String) -> Result<Deployment> {
    Setup::new(Database::sqlite()?).backend_url(url).start().await
}

/// What the proxy answers in front of a backend that answers with these bytes.
async fn problem_of(bytes: &'static [u8]) -> Result<()> {
    let backend = Scripted::answering(bytes).await?;
    let deployment = in_front_of(backend.url()).await?;
    let answer = http::get(deployment.data_plane()?.proxy(), "/").await?;
    answer.problem(StatusCode::BAD_GATEWAY)?;
    assert!(!answer.header("x-request-id").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_http_is_a_bad_gateway() -> Result<()> {
    problem_of(b"220 mail.example.com ESMTP\r\n").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_up_is_a_bad_gateway() -> Result<()> {
    problem_of(b"").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_is_a_bad_gateway() -> Result<()> {
    problem_of(b"HTTP/1.1 200 OK\r\nContent-Le").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_cut_off_is_cut_off_for_the_client_too() -> Result<()> {
    let backend = Scripted::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await?;
    let deployment = in_front_of(backend.url()).await?;
    let mut raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    raw.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    let head = raw.head().await?;
    assert_eq!((head.status(), head.header("content-length")), (200, Some("100")));
    assert!(raw.body(&head).await.is_err(), "the client must not take half for all");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_slow_is_a_gateway_timeout() -> Result<()> {
    let backend = Backend::start().await?;
    let deployment = in_front_of(backend.url()).await?;
    let start = Instant::now();
    http::get(deployment.data_plane()?.proxy(), "/delay/45000").await?.problem(StatusCode::GATEWAY_TIMEOUT)?;
    println!("504 after {} ms", start.elapsed().as_millis());
    assert!((29_000..40_000).contains(&start.elapsed().as_millis()));
    assert_eq!(http::get(deployment.data_plane()?.proxy(), "/").await?.status, 200);
    Ok(())
}
