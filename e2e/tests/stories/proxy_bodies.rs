//! Bodies stream through, both ways, in bounded memory.

use std::fs;

use anyhow::{Context, Result};
use e2e::{Backend, Database, Deployment, Scripted, Setup, raw::Raw};

const MIB: usize = 1 << 20;

async fn deployment() -> Result<(Deployment, Raw)> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    Ok((deployment, raw))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_go_both_ways_as_they_come() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    raw.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await?;
    let head = raw.head().await?;
    assert_eq!((head.status(), head.header("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(raw.bytes(10).await?, b"5\r\nhello\r\n", "the first chunk is back before the second is sent");
    raw.send("6\r\n world\r\n0\r\n\r\n").await?;
    assert_eq!(raw.body(&head).await?, b" world");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_known_length_keeps_it() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    raw.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").await?;
    let (_, seen) = raw.answer().await?;
    let seen: serde_json::Value = serde_json::from_str(&seen)?;
    assert_eq!((&seen["body"], &seen["body_bytes"]), (&"hello".into(), &5.into()));
    let headers = seen["headers"].to_string();
    assert!(headers.contains(r#"["content-length","5"]"#) && !headers.contains("transfer-encoding"), "{headers}");
    raw.send("GET /bytes/1000 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    let head = raw.head().await?;
    assert_eq!((head.header("content-length"), raw.body(&head).await?.len()), (Some("1000"), 1000));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_costs_no_memory() -> Result<()> {
    let (deployment, mut raw) = deployment().await?;
    let before = resident_bytes(&deployment)?;
    raw.send(format!("GET /bytes/{} HTTP/1.1\r\nHost: h\r\n\r\n", 64 * MIB)).await?;
    let head = raw.head().await?;
    let mut most = 0;
    for _ in 0..64 {
        assert_eq!(raw.bytes(MIB).await?.len(), MIB);
        most = most.max(resident_bytes(&deployment)?);
    }
    assert_eq!(head.header("content-length"), Some((64 * MIB).to_string().as_str()));
    println!("resident before: {} KiB, at most: {} KiB", before >> 10, most >> 10);
    assert!(most < before + 16 * MIB);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_does_not_read_stops_the_sender() -> Result<()> {
    let (go, wait) = tokio::sync::watch::channel(false);
    let backend = Scripted::start(move |head, mut raw| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|go| *go).await?;
            let body = raw.body(&head).await?;
            let answer = format!("{}", body.len());
            raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())).await
        }
    })
    .await?;
    let deployment = Setup::new(Database::sqlite()?).backend_url(backend.url()).start().await?;
    let before = resident_bytes(&deployment)?;
    let mut raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    raw.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 64 * MIB)).await?;
    let sender = tokio::spawn(async move {
        for _ in 0..64 {
            raw.send(vec![b'x'; MIB]).await?;
        }
        anyhow::Ok(raw)
    });
    e2e::wait::until_true("the request to arrive", async || backend.heads().len() == 1).await?;
    let stalled = resident_bytes(&deployment)?;
    assert!(!sender.is_finished(), "64 MiB do not fit between a sender and a backend that reads nothing");
    go.send(true)?;
    let (head, answer) = sender.await??.answer().await?;
    assert_eq!((head.status(), answer), (200, (64 * MIB).to_string()));
    let after = resident_bytes(&deployment)?;
    println!("resident before: {} KiB, stalled: {} KiB, after: {} KiB", before >> 10, stalled >> 10, after >> 10);
    assert!(stalled.max(after) < before + 16 * MIB);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_may_answer_before_it_has_read_the_body() -> Result<()> {
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let backend = Scripted::answering(refusal).await?;
    let deployment = Setup::new(Database::sqlite()?).backend_url(backend.url()).start().await?;
    let mut raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    raw.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nonly the beginning").await?;
    let (head, body) = raw.answer().await?;
    assert_eq!((head.status(), body.as_str()), (403, "no"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_is_said_before_the_body_is_sent() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    // The backend reads the body before it answers here; /echo would answer first, and never ask.
    raw.send("POST /read HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await?;
    assert_eq!(raw.head().await?.status(), 100);
    raw.send("hello").await?;
    let (head, body) = raw.answer().await?;
    assert_eq!(head.status(), 200);
    assert!(body.contains(r#""body": "hello""#), "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_frees_the_backend() -> Result<()> {
    let backend = Backend::start().await?;
    let deployment = Setup::new(Database::sqlite()?).backend_url(backend.url()).start().await?;
    let mut raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    raw.send("GET /stream/100000/100 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    assert_eq!(raw.head().await?.status(), 200);
    drop(raw);
    let sample = format!(r#"balancer_backend_in_flight{{backend="{}"}}"#, backend.url());
    let free = async || deployment.data_planes[0].metric(&sample).await == Some(0.0);
    e2e::wait::until_true("nothing to be in flight", free).await?;
    Ok(())
}

/// Memory of the data plane that is really there.
/// Large bodies of known length are not copied: they leave a pipe behind, for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_passes_through_a_pipe() -> Result<()> {
    let (deployment, mut raw) = deployment().await?;
    let before = pipes(&deployment)?;
    for _ in 0..3 {
        raw.send(format!("GET /bytes/{MIB} HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        let head = raw.head().await?;
        assert_eq!(raw.body(&head).await?.len(), MIB);
    }
    assert!(pipes(&deployment)? > before);
    Ok(())
}

/// Open ends of pipes.
fn pipes(deployment: &Deployment) -> Result<usize> {
    let files = fs::read_dir(format!("/proc/{}/fd", deployment.data_plane()?.process.id()))?;
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count())
}

fn resident_bytes(deployment: &Deployment) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", deployment.data_plane()?.process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<usize>()? << 10)
}
