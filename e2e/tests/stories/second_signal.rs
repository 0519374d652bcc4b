//! Whoever asks twice does not want to wait.

use anyhow::Result;
use e2e::{Database, Setup, raw::Raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_plane_with_a_request_in_flight_ends_at_once() -> Result<()> {
    let mut deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let mut download = Raw::connect(deployment.data_plane()?.proxy()).await?;
    download.send("GET /stream/100000/100 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    download.head().await?;
    let process = &mut deployment.data_planes[0].process;
    process.sigterm()?;
    process.logged("stopping: ").await?;
    let asked = std::time::Instant::now();
    process.sigterm()?;
    assert_eq!(process.exit_code().await?, 1);
    assert!(asked.elapsed().as_secs() < 3, "{:?}", asked.elapsed());
    process.logged("stopped at once").await?;
    Ok(())
}
