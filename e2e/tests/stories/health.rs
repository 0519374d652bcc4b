//! A backend that is not well leaves the pool, and comes back.

use std::time::{Duration, Instant};

use anyhow::Result;
use balancer_proto::v1::Health;
use e2e::{Database, Deployment, Scripted, Setup, http, wait};
use hyper::StatusCode;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nX-Backend: scripted\r\n\r\n";

/// Waits until the data plane sends the backend requests, or sends it none; says how long that took.
async fn takes_requests(deployment: &Deployment, backend: &Scripted, expected: bool) -> Result<Duration> {
    let sample = format!(r#"balancer_backend_takes_requests{{backend="{}"}}"#, backend.url());
    let data_plane = deployment.data_plane()?;
    wait::until_true(&format!("takes requests: {expected}"), async || {
        data_plane.metric(&sample).await == Some(f64::from(u8::from(expected)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_backend_leaves_and_returns() -> Result<()> {
    let scripted = Scripted::answering(OK).await?;
    let deployment = Setup::new(Database::sqlite()?).backend_url(scripted.url()).backends(1).start().await?;
    deployment.backend_is(&scripted.url(), Health::Healthy).await?;
    let start = Instant::now();
    scripted.set_health(503);
    let reason = deployment.backend_is(&scripted.url(), Health::Unhealthy).await?;
    println!("unhealthy at the control plane after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(2), "three checks, a tenth of a second apart");
    assert!(reason.contains("503"), "{reason}");
    let push = takes_requests(&deployment, &scripted, false).await?;
    println!("... and {} ms later at the data plane", push.as_millis());
    assert!(push < Duration::from_secs(1));
    for _ in 0..10 {
        let answer = http::get(deployment.data_plane()?.proxy(), "/").await?;
        assert_eq!(
            (answer.status, answer.header("x-backend")),
            (200, deployment.backends[0].address().to_string().as_str())
        );
    }
    let rows = deployment.control_plane.ctl().json(&["backends", "list"]).await?;
    let row = rows.as_array().and_then(|rows| rows.iter().find(|row| row["url"] == scripted.url()));
    assert!(row.is_some_and(|row| row["health"] == "unhealthy" && row["reason"] == reason), "{rows:#}");
    let metrics = deployment.control_plane.metrics().await?;
    let sample = |url: &str| metrics.sum("balancer_controlplane_backend_healthy", url);
    assert_eq!((sample(&scripted.url()), sample(&deployment.backends[0].url())), (0.0, 1.0));
    scripted.set_health(200);
    deployment.backend_is(&scripted.url(), Health::Healthy).await?;
    takes_requests(&deployment, &scripted, true).await?;
    wait::until_true("requests to reach it again", async || {
        let answer = http::get(deployment.data_planes[0].proxy(), "/").await;
        answer.is_ok_and(|answer| answer.header("x-backend") == "scripted")
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_healthy_is_said_at_once() -> Result<()> {
    let scripted = Scripted::answering(OK).await?;
    let deployment = Setup::new(Database::sqlite()?).backend_url(scripted.url()).start().await?;
    scripted.set_health(500);
    takes_requests(&deployment, &scripted, false).await?;
    let (start, proxy) = (Instant::now(), deployment.data_plane()?.proxy());
    http::get(proxy, "/").await?.problem(StatusCode::SERVICE_UNAVAILABLE)?;
    println!("503 after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed() < Duration::from_secs(1));
    let own = deployment.data_plane()?.metric(r#"balancer_own_answers_total{reason="no_backend"}"#).await;
    assert_eq!(own, Some(1.0));
    assert!(scripted.heads().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_not_there_says_why() -> Result<()> {
    let gone = Scripted::answering(OK).await?;
    let url = gone.url();
    drop(gone);
    let deployment = Setup::new(Database::sqlite()?).backend_url(url.clone()).start().await?;
    let reason = deployment.backend_is(&url, Health::Unhealthy).await?;
    assert!(reason.contains("refused"), "{reason}");
    http::get(deployment.data_plane()?.proxy(), "/").await?.problem(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(())
}
