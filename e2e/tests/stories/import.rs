//! A hundred thousand limits at once.

use std::{fmt::Write, fs, time::Instant};

use anyhow::{Context, Result};
use e2e::{Database, Setup, http, wait};

const LIMITS: usize = 100_000;

/// A debug build on a busy machine; a release build is asked for a sixth of it.
const LONGEST_SEC: u64 = 60;

on_both_databases!(a_hundred_thousand_limits);

async fn a_hundred_thousand_limits(database: Database) -> Result<()> {
    let deployment = Setup::new(database).backends(1).start().await?;
    let (file, back) = (deployment.dir.path().join("limits.csv"), deployment.dir.path().join("back.csv"));
    let csv = limits_csv()?;
    fs::write(&file, &csv)?;
    let (ctl, start) = (deployment.control_plane.ctl(), Instant::now());
    let done = ctl.json(&["limits", "import", &file.display().to_string()]).await?;
    println!("imported in {:?}", start.elapsed());
    assert!(start.elapsed().as_secs() < LONGEST_SEC);
    assert_eq!(done["stored"], LIMITS, "{done}");
    deployment.arrived(done["revision"].as_u64().unwrap_or(u64::MAX)).await?;
    println!("at the data plane after {:?}", start.elapsed());
    assert_eq!(deployment.data_plane()?.metric("balancer_snapshot_limits").await, Some(LIMITS as f64));
    let proxy = deployment.data_plane()?.proxy();
    let answer = http::send(proxy, "GET", "/", &[("x-api-key", "client-099999")], "").await?;
    assert_eq!(answer.header("ratelimit-policy"), r#""client";q=100;w=200"#);
    ctl.run(&["limits", "export", &back.display().to_string()]).await?;
    assert_eq!(fs::read_to_string(&back)?, csv, "what came in goes out");
    let again = ctl.json(&["limits", "import", &file.display().to_string()]).await?;
    assert_eq!(again["revision"], done["revision"], "the same again is no change");
    Ok(())
}

on_both_databases!(an_import_cut_off_goes_on_where_it_was);

async fn an_import_cut_off_goes_on_where_it_was(database: Database) -> Result<()> {
    let mut deployment = Setup::new(database).data_planes(0).start().await?;
    let (file, back) = (deployment.dir.path().join("limits.csv"), deployment.dir.path().join("back.csv"));
    let csv = limits_csv()?;
    fs::write(&file, &csv)?;
    let (ctl, path) = (deployment.control_plane.ctl(), file.display().to_string());
    let import = tokio::spawn({
        let (ctl, path) = (ctl.clone(), path.clone());
        async move { ctl.call(&["limits", "import", &path]).await }
    });
    wait::until_true("the import to be under way", async || {
        deployment.control_plane.status().await.is_ok_and(|status| status.limits >= 10_000)
    })
    .await?;
    deployment.control_plane.process.kill9()?;
    let cut_off = import.await??;
    println!("{}", cut_off.stderr);
    assert_eq!(cut_off.code, 1);
    let (_, line) = cut_off.stderr.trim().split_once("--from-line ").context("it says how to go on")?;
    let line = line.split_whitespace().next().unwrap_or_default();
    deployment.control_plane.start_again().await?;
    ctl.run(&["limits", "import", &path, "--from-line", line]).await?;
    ctl.run(&["limits", "export", &back.display().to_string()]).await?;
    assert_eq!(fs::read_to_string(&back)?, csv);
    Ok(())
}

fn limits_csv() -> Result<String> {
    let mut csv = String::from("client_id,capacity,rate_per_sec\n");
    for number in 0..LIMITS {
        writeln!(csv, "client-{number:06},{},0.5", number % 100 + 1)?;
    }
    Ok(csv)
}
