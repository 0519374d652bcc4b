//! A hundred thousand limits at once.

use std::{fmt::Write, fs, time::Instant};

use anyhow::Result;
use e2e::{Database, Setup, http};

const LIMITS: usize = 100_000;

/// A debug build on a busy machine; a release build is asked for a sixth of it.
const LONGEST_SEC: u64 = 60;

on_both_databases!(a_hundred_thousand_limits);

async fn a_hundred_thousand_limits(database: Database) -> Result<()> {
    let deployment = Setup::new(database).backends(1).start().await?;
    let (file, back) = (deployment.dir.path().join("limits.csv"), deployment.dir.path().join("back.csv"));
    let mut csv = String::from("client_id,capacity,rate_per_sec\n");
    for number in 0..LIMITS {
        writeln!(csv, "client-{number:06},{},0.5", number % 100 + 1)?;
    }
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
    let revision = deployment.control_plane.status().await?.revision;
    ctl.run(&["limits", "import", &file.display().to_string()]).await?;
    assert_eq!(deployment.control_plane.status().await?.revision, revision, "the same again is no change");
    Ok(())
}
