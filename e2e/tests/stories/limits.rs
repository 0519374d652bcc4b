//! Limits as clients meet them.

use std::net::SocketAddr;

use anyhow::Result;
use e2e::{Database, Deployment, Setup, http};
use tokio::{net::TcpSocket, task::JoinSet};

async fn unlimited_by_default() -> Result<Deployment> {
    Setup::new(Database::sqlite()?).backends(1).start().await
}

async fn with_default(yaml: &str, more: &str) -> Result<Deployment> {
    Setup::new(Database::sqlite()?).backends(1).default_limits(yaml).config_line(more).start().await
}

/// How many of `count` requests with these headers are not refused.
async fn admitted(proxy: SocketAddr, count: usize, headers: &[(&str, &str)]) -> Result<usize> {
    let mut admitted = 0;
    for _ in 0..count {
        let status = http::send(proxy, "GET", "/", headers, "").await?.status;
        assert!(matches!(status, 200 | 429), "{status}");
        admitted += usize::from(status == 200);
    }
    Ok(admitted)
}

fn key(client: &str) -> [(&str, &str); 1] {
    [("x-api-key", client)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_exact_from_any_number_of_connections() -> Result<()> {
    let deployment = unlimited_by_default().await?;
    deployment.set_limit("alice", 10.0, 0.0).await?;
    let (proxy, mut connections) = (deployment.data_plane()?.proxy(), JoinSet::new());
    for _ in 0..50 {
        connections.spawn(async move { admitted(proxy, 6, &key("alice")).await });
    }
    let mut total = 0;
    while let Some(one) = connections.join_next().await {
        total += one??;
    }
    assert_eq!(total, 10);
    let refused = deployment.data_plane()?.metric(r#"balancer_requests_refused_total{limit="client"}"#).await;
    assert_eq!(refused, Some(290.0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_limit_keeps_its_tokens_and_other_changes_refill_nobody() -> Result<()> {
    let deployment = unlimited_by_default().await?;
    let proxy = deployment.data_plane()?.proxy();
    deployment.set_limit("alice", 10.0, 0.0).await?;
    assert_eq!(admitted(proxy, 6, &key("alice")).await?, 6);
    deployment.set_limit("alice", 20.0, 0.0).await?;
    assert_eq!(admitted(proxy, 1, &key("alice")).await?, 1);
    deployment.set_limit("alice", 2.0, 0.0).await?;
    assert_eq!(admitted(proxy, 5, &key("alice")).await?, 2, "the three left are clamped to two");
    for other in 0..20 {
        deployment.set_limit(&format!("other-{other}"), 5.0, 1.0).await?;
    }
    deployment.control_plane.ctl().run(&["backends", "drain", &deployment.backends[0].url()]).await?;
    deployment.control_plane.ctl().run(&["backends", "enable", &deployment.backends[0].url()]).await?;
    deployment.settled().await?;
    assert_eq!(admitted(proxy, 5, &key("alice")).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_keys_and_forged_addresses_share_one_bucket() -> Result<()> {
    let deployment = with_default("{ capacity: 5, rate_per_sec: 0 }", "").await?;
    let proxy = deployment.data_plane()?.proxy();
    assert_eq!(admitted(proxy, 1, &[]).await?, 1);
    assert_eq!(admitted(proxy, 1, &key("invented-1")).await?, 1);
    assert_eq!(admitted(proxy, 1, &key("invented-2")).await?, 1);
    assert_eq!(admitted(proxy, 1, &[("x-forwarded-for", "192.0.2.1")]).await?, 1);
    assert_eq!(admitted(proxy, 1, &[("x-forwarded-for", "192.0.2.2"), ("x-real-ip", "192.0.2.3")]).await?, 1);
    assert_eq!(admitted(proxy, 1, &key("invented-3")).await?, 0);
    assert_eq!(admitted(proxy, 1, &[("x-forwarded-for", "192.0.2.4")]).await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_limit_falls_back_to_the_default() -> Result<()> {
    let deployment = with_default("{ capacity: 2, rate_per_sec: 0 }", "").await?;
    let proxy = deployment.data_plane()?.proxy();
    deployment.set_limit("alice", 4.0, 0.0).await?;
    assert_eq!(admitted(proxy, 5, &key("alice")).await?, 4);
    assert_eq!(admitted(proxy, 1, &[]).await?, 1, "alice's bucket is her own");
    assert_eq!(deployment.control_plane.rest("DELETE", "/limits/delete?client_id=alice", "").await?.status, 204);
    deployment.settled().await?;
    let answer = http::send(proxy, "GET", "/", &key("alice"), "").await?;
    assert_eq!(answer.header("ratelimit-policy"), r#""default";q=2"#);
    assert_eq!(admitted(proxy, 2, &[]).await?, 0, "alice shares the address's bucket now");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_says_who_the_client_is() -> Result<()> {
    let trusting = "client: { trusted_proxies: [127.0.0.0/8] }";
    let deployment = with_default("{ capacity: 3, rate_per_sec: 0 }", trusting).await?;
    let proxy = deployment.data_plane()?.proxy();
    assert_eq!(admitted(proxy, 4, &[("x-forwarded-for", "192.0.2.1")]).await?, 3);
    assert_eq!(admitted(proxy, 4, &[("x-forwarded-for", "192.0.2.2")]).await?, 3);
    assert_eq!(admitted(proxy, 4, &[("x-forwarded-for", "198.51.100.9, 192.0.2.2")]).await?, 0, "the last counts");
    assert_eq!(admitted(proxy, 2, &[("x-forwarded-for", "2001:db8::1")]).await?, 2);
    assert_eq!(admitted(proxy, 2, &[("x-forwarded-for", "2001:db8::ffff:2")]).await?, 1, "one /64, one bucket");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_can_have_a_limit_with_or_without_its_port() -> Result<()> {
    let deployment = with_default("{ capacity: 1, rate_per_sec: 0 }", "").await?;
    let proxy = deployment.data_plane()?.proxy();
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    deployment.set_limit("127.0.0.1", 2.0, 0.0).await?;
    deployment.set_limit(&socket.local_addr()?.to_string(), 7.0, 0.0).await?;
    let mut sender = http::connect_stream(socket.connect(proxy).await?).await?;
    let request = hyper::Request::get("/").header("host", "h").body(http_body_util::Full::default())?;
    let answer = http::whole(sender.send_request(request).await?).await?;
    assert_eq!(answer.header("ratelimit"), r#""client";r=6"#);
    assert_eq!(admitted(proxy, 3, &[]).await?, 2, "other ports fall under the address");
    assert_eq!(admitted(proxy, 1, &key("127.0.0.1")).await?, 0, "a key that is an address buys no second bucket");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlimited_is_not_a_limit() -> Result<()> {
    let deployment = unlimited_by_default().await?;
    let proxy = deployment.data_plane()?.proxy();
    let answer = http::get(proxy, "/").await?;
    assert_eq!((answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy")), (200, "", ""));
    assert_eq!(admitted(proxy, 50, &[]).await?, 50);
    Ok(())
}
