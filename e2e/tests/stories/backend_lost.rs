//! Backends that go, by force or by order, cost no request.

use anyhow::{Context, Result};
use e2e::{Backend, Database, Deployment, Setup, http, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_under_load_costs_no_request() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(3).start().await?;
    let load = deployment.load(16).await?;
    deployment.backends[1].process.kill9()?;
    load.proceed(1000).await?;
    let address = deployment.backends[1].address().to_string();
    deployment.backends[1] = Backend::start_at(&address).await?;
    wait::until_true("the backend to be used again", async || {
        let answer = http::get(deployment.data_planes[0].proxy(), "/").await;
        answer.is_ok_and(|answer| answer.header("x-backend") == address)
    })
    .await?;
    deployment.backends[2].process.kill9()?;
    load.proceed(1000).await?;
    let tally = load.stop().await?;
    println!("{tally:?}");
    tally.assert_all_served();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_stops_politely_costs_no_request() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(3).start().await?;
    let load = deployment.load(16).await?;
    deployment.backends[0].process.sigterm()?;
    assert_eq!(deployment.backends[0].process.exit_code().await?, 0);
    load.proceed(1000).await?;
    load.stop().await?.assert_all_served();
    Ok(())
}

/// One slow request at each of two backends, then an order to the second: the request finishes, others stay away.
async fn leaves_in_peace(order: &str) -> Result<()> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let leaving = Backend::start().await?;
    let (ctl, url) = (deployment.control_plane.ctl(), leaving.url());
    ctl.run(&["backends", "add", &url]).await?;
    deployment.settled().await?;
    let proxy = deployment.data_plane()?.proxy();
    let slow: Vec<_> = (0..2).map(|_| tokio::spawn(async move { http::get(proxy, "/delay/3000").await })).collect();
    let sample = format!(r#"balancer_backend_in_flight{{backend="{}"}}"#, leaving.url());
    wait::until_true("a request at it", async || deployment.data_planes[0].metric(&sample).await == Some(1.0)).await?;
    ctl.run(&["backends", order, &url]).await?;
    gone(&deployment, &leaving).await?;
    for _ in 0..20 {
        let answer = http::get(proxy, "/").await?;
        assert_eq!(
            (answer.status, answer.header("x-backend")),
            (200, deployment.backends[0].address().to_string().as_str())
        );
    }
    let mut answered = Vec::new();
    for request in slow {
        let answer = request.await??;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answered.push(answer.header("x-backend").to_owned());
    }
    assert!(answered.contains(&leaving.address().to_string()), "{answered:?}");
    Ok(())
}

async fn gone(deployment: &Deployment, backend: &Backend) -> Result<()> {
    let sample = format!(r#"balancer_backend_takes_requests{{backend="{}"}}"#, backend.url());
    let data_plane = deployment.data_plane().context("the one there is")?;
    let gone = async || data_plane.metric(&sample).await.is_none_or(|value| value == 0.0);
    wait::until_true("the backend to get no requests", gone).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_backend_finishes_its_requests() -> Result<()> {
    leaves_in_peace("drain").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_backend_finishes_its_requests() -> Result<()> {
    leaves_in_peace("remove").await
}
