//! Connections: kept, closed, pipelined, and turned into tunnels.

use anyhow::Result;
use e2e::{Database, Deployment, Setup, raw::Raw, wait};

async fn deployment() -> Result<(Deployment, Raw)> {
    let deployment = Setup::new(Database::sqlite()?).backends(1).start().await?;
    let raw = Raw::connect(deployment.data_plane()?.proxy()).await?;
    Ok((deployment, raw))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_follow_each_other_on_one_connection() -> Result<()> {
    let (deployment, mut raw) = deployment().await?;
    for number in 0..20 {
        raw.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        let (head, body) = raw.answer().await?;
        assert!(head.status() == 200 && body.contains(&format!("\"/{number}\"")), "{body}");
    }
    assert_eq!(deployment.data_plane()?.metric("balancer_connections_accepted_total").await, Some(1.0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    let all: String = ["/delay/200", "/b", "/c"].map(|t| format!("GET {t} HTTP/1.1\r\nHost: h\r\n\r\n")).concat();
    raw.send(all).await?;
    for target in ["/delay/200", "/b", "/c"] {
        let (head, body) = raw.answer().await?;
        assert!(head.status() == 200 && body.contains(&format!("\"{target}\"")), "{body}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_0_is_served_and_closed() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    raw.send("GET /stream/3/1 HTTP/1.0\r\n\r\n").await?;
    let head = raw.head().await?;
    assert_eq!((head.status(), head.header("transfer-encoding")), (200, None), "it knows no chunks");
    assert!(!raw.rest().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_is_honoured() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    raw.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await?;
    let (head, _) = raw.answer().await?;
    assert_eq!((head.status(), head.header("connection")), (200, Some("close")));
    assert_eq!(raw.rest().await?, b"");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_close_its_side_and_wait() -> Result<()> {
    let (_deployment, mut raw) = deployment().await?;
    raw.send("GET /delay/200 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    raw.finish().await?;
    assert_eq!(raw.answer().await?.0.status(), 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_becomes_a_tunnel() -> Result<()> {
    let (deployment, mut raw) = deployment().await?;
    raw.send(
        "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await?;
    let head = raw.head().await?;
    assert_eq!((head.status(), head.header("upgrade")), (101, Some("websocket")));
    for message in ["one", "two", "\u{0}\u{1}three"] {
        raw.send(message).await?;
        assert_eq!(raw.bytes(message.len()).await?, message.as_bytes());
    }
    let in_flight = format!(r#"balancer_backend_in_flight{{backend="{}"}}"#, deployment.backends[0].url());
    assert_eq!(deployment.data_plane()?.metric(&in_flight).await, Some(1.0), "a tunnel counts while it stands");
    raw.finish().await?;
    assert_eq!(raw.rest().await?, b"");
    wait::until_true("the tunnel to end", async || deployment.data_planes[0].metric(&in_flight).await == Some(0.0))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_and_the_next_client_served() -> Result<()> {
    let (deployment, mut raw) = deployment().await?;
    raw.send("this is not http\r\n\r\n").await?;
    assert_eq!(raw.head().await?.status(), 400);
    assert_eq!(e2e::http::get(deployment.data_plane()?.proxy(), "/").await?.status, 200);
    Ok(())
}
