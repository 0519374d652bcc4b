//! Upgrades: only to WebSocket, and no byte before the backend's 101 (RFC 9110 section 7.8, RFC 6455).

use anyhow::{Result, ensure};

use crate::{bench::Bench, case::final_head, recorder::Then};

pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

async fn bench() -> Result<Bench> {
    let bench = Bench::start().await?;
    bench.recorder.reply("/ws", SWITCHING, Then::Tunnel);
    Ok(bench)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_too_early_waits_for_101() -> Result<()> {
    let bench = bench().await?;
    let mut raw = bench.connect().await?;
    let frames = "GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n";
    raw.send(format!("{UPGRADE}{frames}")).await?;
    let head = raw.head().await?;
    ensure!(head.status() == 101 && head.header("sec-websocket-accept").is_some(), "{head:?}");
    ensure!(raw.bytes(frames.len()).await? == frames.as_bytes(), "it passes the tunnel afterwards");
    let record = bench.recorder.take().await?;
    ensure!(record.hasty.is_empty(), "before 101: {:?}", String::from_utf8_lossy(&record.hasty));
    ensure!(record.seen.len() == 1, "{record:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_beside_101_are_the_tunnel_s() -> Result<()> {
    let bench = bench().await?;
    bench.recorder.reply("/ws", format!("{SWITCHING}hello"), Then::Tunnel);
    let mut raw = bench.connect().await?;
    raw.send(UPGRADE).await?;
    ensure!(raw.head().await?.status() == 101);
    ensure!(raw.bytes(5).await? == b"hello");
    raw.send("\0\r\n\r\n\u{ff}").await?;
    ensure!(raw.bytes(7).await? == "\0\r\n\r\n\u{ff}".as_bytes());
    raw.finish().await?;
    ensure!(raw.rest().await?.is_empty());
    bench.serves().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_upgrade_leaves_an_ordinary_connection() -> Result<()> {
    let bench = Bench::start().await?;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nok",
    ] {
        bench.recorder.reply("/ws", answer, Then::Keep);
        let mut raw = bench.connect().await?;
        raw.send(UPGRADE).await?;
        let head = raw.head().await?;
        ensure!(raw.body(&head).await? == b"ok" && head.header("upgrade").is_none(), "{head:?}");
        bench.open(&mut raw).await?;
    }
    let record = bench.recorder.take().await?;
    ensure!(record.violations.is_empty() && record.seen.len() == 6, "{record:?}");
    Ok(())
}

/// What is not an upgrade to WebSocket goes on as an ordinary request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_upgrades_are_not_passed_on() -> Result<()> {
    let bench = Bench::start().await?;
    let plain = |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    for (name, request) in [
        ("h2c", plain("GET /x", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")),
        ("TLS", plain("OPTIONS /x", "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n")),
        ("unknown", plain("GET /x", "Connection: Upgrade\r\nUpgrade: foo\r\n")),
        ("POST", plain("POST /x", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n")),
        ("no Connection", plain("GET /x", "Upgrade: websocket\r\n")),
        ("with a body", plain("GET /x", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n") + "hi"),
    ] {
        let mut raw = bench.connect().await?;
        raw.send(&request).await?;
        ensure!(raw.answer().await?.0.status() == 200, "{name}");
        bench.open(&mut raw).await?;
        let record = bench.recorder.take().await?;
        ensure!(record.violations.is_empty() && !record.seen[0].is_upgrade(), "{name}: {record:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_to_a_backend_that_says_nonsense_is_none() -> Result<()> {
    let bench = Bench::start().await?;
    for answer in ["HTTP/1.1 101 Switching Protocols\r\n", "101\r\n\r\n", ""] {
        bench.recorder.reply("/ws", answer, Then::Close);
        let mut raw = bench.connect().await?;
        raw.send(UPGRADE).await?;
        ensure!(final_head(&mut raw).await?.status() == 502, "{answer:?}");
    }
    bench.serves().await
}
