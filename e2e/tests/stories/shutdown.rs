//! SIGTERM: nobody is cut off.

use anyhow::Result;
use e2e::{Database, Setup, http, raw::Raw, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_stops_under_load_and_cuts_nobody_off() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(2).start().await?;
    let load = deployment.load(16).await?;
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0);
    let tally = load.stop().await?;
    let (refused, others): (Vec<_>, Vec<_>) = tally.failures.iter().partition(|f| f.contains("cannot connect"));
    println!("{:?}, {} found nobody listening, others: {others:?}", tally.statuses, refused.len());
    assert!(tally.statuses.keys().all(|status| *status == 200), "{:?}", tally.statuses);
    assert!(others.is_empty(), "{others:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_and_a_tunnel_get_their_grace_and_no_more() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).data_plane_arg("--grace-secs=2").start().await?;
    let (proxy, admin) = (deployment.data_plane()?.proxy(), deployment.data_plane()?.admin());
    let (mut short, mut endless, mut idle) =
        (Raw::connect(proxy).await?, Raw::connect(proxy).await?, Raw::connect(proxy).await?);
    short.send("GET /stream/10/100 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    endless.send("GET /stream/100000/100 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    idle.answer().await?;
    let (short_head, _) = (short.head().await?, endless.head().await?);
    deployment.data_planes[0].process.sigterm()?;
    assert_eq!(idle.rest().await?, b"", "an idle connection is closed");
    wait::until_true("readyz to say that it drains", async || {
        http::get(admin, "/readyz").await.is_ok_and(|answer| answer.status == 503)
    })
    .await?;
    assert!(!short.body(&short_head).await?.is_empty(), "what ends within the grace time ends well");
    assert_eq!(deployment.data_planes[0].process.exit_code().await?, 0, "what does not is cut");
    assert!(endless.rest().await.is_ok_and(|body| !body.ends_with(b"0\r\n\r\n")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_stops_at_once_though_data_planes_hold_on_to_it() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).data_planes(2).start().await?;
    let start = std::time::Instant::now();
    deployment.control_plane.process.sigterm()?;
    assert_eq!(deployment.control_plane.process.exit_code().await?, 0);
    println!("stopped after {} ms", start.elapsed().as_millis());
    assert!(start.elapsed().as_secs() < 5);
    for data_plane in &deployment.data_planes {
        assert_eq!(http::get(data_plane.proxy(), "/").await?.status, 200);
    }
    Ok(())
}
