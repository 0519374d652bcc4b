//! SIGHUP reads the file again; a bad file changes nothing.

use std::fs;

use anyhow::Result;
use e2e::{Backend, Database, Setup, http, wait};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_file_is_taken_and_a_bad_one_is_not() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let (added, proxy) = (Backend::start().await?, deployment.data_plane()?.proxy());
    deployment.config.backend_urls = vec![added.url()];
    deployment.config.default_limits = "{ capacity: 1000, rate_per_sec: 1 }".into();
    let path = deployment.config.write(deployment.dir.path())?;
    deployment.control_plane.process.sighup()?;
    wait::until_true("the new file to hold", async || {
        let answer = http::get(proxy, "/").await;
        answer.is_ok_and(|a| {
            a.header("x-backend") == added.address().to_string() && a.header("ratelimit-policy").contains("q=1000")
        })
    })
    .await?;
    let revision = deployment.control_plane.status().await?.revision;
    for bad in ["strategy: rondom\n", "{", "default_limits: { capacity: 0, rate_per_sec: 1 }\n"] {
        fs::write(&path, bad)?;
        let seen = deployment.control_plane.process.logs().len();
        deployment.control_plane.process.sighup()?;
        let complaint = async || {
            let logs = deployment.control_plane.process.logs();
            logs[seen..].iter().any(|line| line.contains("config.yaml")).then_some(())
        };
        wait::until("the bad file to be named", complaint).await?;
    }
    deployment.control_plane.process.expect_errors();
    assert_eq!(deployment.control_plane.status().await?.revision, revision);
    assert_eq!(http::get(proxy, "/").await?.header("x-backend"), added.address().to_string());
    Ok(())
}
