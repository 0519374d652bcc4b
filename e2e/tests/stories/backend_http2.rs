//! HTTP/2 to backends: with `h2c://`, and where a backend with `https://` chooses it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context as Cx, Poll},
};

use anyhow::{Context, Result};
use balancer_proto::v1::Health;
use bytes::Bytes;
use e2e::{Authority, Backend, Database, Deployment, Scripted, Setup, http, raw::Raw, wait};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, StatusCode,
    body::{Body, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet};

async fn in_front_of(backends: &[&Backend], config_line: &str) -> Result<Deployment> {
    let mut setup = Setup::new(Database::sqlite()?).config_line(config_line);
    for backend in backends {
        setup = setup.backend_url(backend.url());
    }
    let deployment = setup.start().await?;
    for backend in backends {
        deployment.backend_is(&backend.url(), Health::Healthy).await?;
    }
    Ok(deployment)
}

fn header<'a>(told: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let pairs = told["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    pairs.iter().filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_is_spoken_to_in_what_it_speaks() -> Result<()> {
    let authority = Authority::new("ours")?;
    let certificate = ("127.0.0.2", 2999);
    for (backend, version, scheme) in [
        (Backend::start_tls(&authority, certificate, "both").await?, "HTTP/2.0", "https"),
        (Backend::start_tls(&authority, certificate, "2").await?, "HTTP/2.0", "https"),
        (Backend::start_tls(&authority, certificate, "1").await?, "HTTP/1.1", ""),
        (Backend::start_h2c().await?, "HTTP/2.0", "http"),
        (Backend::start().await?, "HTTP/1.1", ""),
    ] {
        let deployment = in_front_of(&[&backend], &authority.config_line()).await?;
        let proxy = deployment.data_plane()?.proxy();
        for _ in 0..3 {
            let headers = [("connection", "x-secret, keep-alive"), ("x-secret", "1"), ("te", "gzip"), ("x-kept", "1")];
            let answer = http::send(proxy, "PUT", "/a%2Fb//?c=d%20&e", &headers, "hello").await?;
            assert_eq!((answer.status, answer.header("x-backend")), (200, backend.address().to_string().as_str()));
            assert_eq!(answer.header("connection"), "", "{answer:?}");
            let told = answer.json()?;
            assert_eq!((&told["version"], &told["target"]), (&version.into(), &"/a%2Fb//?c=d%20&e".into()), "{told:#}");
            assert_eq!((&told["body"], header(&told, "x-kept")), (&"hello".into(), vec!["1"]));
            assert_eq!((header(&told, "x-secret"), header(&told, "x-forwarded-for")), (vec![], vec!["127.0.0.1"]));
            if version == "HTTP/2.0" {
                assert_eq!((&told["authority"], &told["scheme"]), (&proxy.to_string().into(), &scheme.into()));
                assert_eq!((header(&told, "te"), header(&told, "host")), (vec!["trailers"], vec![]));
            }
        }
        let head = http::send(proxy, "HEAD", "/bytes/1000", &[], "").await?;
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "1000", 0));
        assert_eq!(http::get(proxy, "/status/204").await?.status, 204);
        assert_eq!(http::get(proxy, "/bytes/3000000").await?.body.len(), 3_000_000);
        assert_eq!(http::get(proxy, "/stream/3/1").await?.text(), "chunk 1\nchunk 2\nchunk 3\n");
        let body = Bytes::from(vec![b'x'; 2_000_000]);
        assert_eq!(http::send(proxy, "POST", "/echo", &[], body.clone()).await?.body, body);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_websocket_where_there_is_none_gets_an_ordinary_answer() -> Result<()> {
    let backend = Backend::start_h2c().await?;
    let deployment = in_front_of(&[&backend], "").await?;
    let headers = [("connection", "upgrade"), ("upgrade", "websocket")];
    let answer = http::send(deployment.data_plane()?.proxy(), "GET", "/upgrade", &headers, "").await?;
    assert_eq!((answer.status, answer.header("upgrade")), (426, ""));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_speaks_something_else_gets_no_request() -> Result<()> {
    let other = Scripted::answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
    let url = format!("h2c://{}", other.address());
    let mut deployment = Setup::new(Database::sqlite()?).backend_url(url.clone()).start().await?;
    deployment.backend_is(&url, Health::Unhealthy).await?;
    deployment.control_plane.process.kill9()?;
    let takes = format!(r#"balancer_backend_takes_requests{{backend="{url}"}}"#);
    let on_its_own = async || deployment.data_planes[0].metric(&takes).await == Some(1.0);
    wait::until_true("the data plane to be on its own", on_its_own).await?;
    http::get(deployment.data_plane()?.proxy(), "/").await?.problem(StatusCode::SERVICE_UNAVAILABLE)?;
    let line = deployment.data_plane()?.process.logged("backend refused").await?;
    assert!(line.contains("HTTP/2: ") && line.contains(&url), "{line}");
    Ok(())
}

/// A body whose length nobody knows: with one, HTTP/1.1 has no place for trailers.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// One request over HTTP/2 to the proxy, with trailers, for something that sends them back.
async fn echo_with_trailers(proxy: SocketAddr) -> Result<(Bytes, HeaderMap)> {
    let io = TokioIo::new(TcpStream::connect(proxy).await?);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let trailers = HeaderMap::from_iter([("x-sum".parse()?, "7".parse()?)]);
    let body = Frames([Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)].into());
    let request = Request::post(format!("http://{proxy}/echo")).header("trailer", "x-sum").body(body)?;
    let answer = wait::bounded("an answer", sender.send_request(request)).await??;
    let whole = wait::bounded("its end", answer.into_body().collect()).await??;
    let trailers = whole.trailers().cloned().unwrap_or_default();
    Ok((whole.to_bytes(), trailers))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_in_both_directions() -> Result<()> {
    let backend = Backend::start_h2c().await?;
    let deployment = in_front_of(&[&backend], "").await?;
    let proxy = deployment.data_plane()?.proxy();
    let (body, trailers) = echo_with_trailers(proxy).await?;
    assert_eq!((body.as_ref(), &trailers["x-sum"]), (&b"hello"[..], &"7".parse()?));
    // A client of HTTP/1.1 gets them if it says that it takes them.
    for (te, expected) in [("TE: trailers\r\nConnection: te\r\n", true), ("", false)] {
        let mut client = Raw::connect(proxy).await?;
        client
            .send(format!("POST /echo HTTP/1.1\r\nHost: h\r\n{te}Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"))
            .await?;
        client.send("5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n").await?;
        client.head().await?;
        client.finish().await?;
        let rest = String::from_utf8(client.rest().await?)?;
        assert!(rest.contains("hello") && rest.ends_with("\r\n\r\n"), "{rest:?}");
        assert_eq!(rest.to_lowercase().contains("0\r\nx-sum: 7\r\n\r\n"), expected, "{rest:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_ends_the_request_at_the_backend() -> Result<()> {
    let backend = Backend::start_h2c().await?;
    let deployment = in_front_of(&[&backend], "").await?;
    let data_plane = deployment.data_plane()?;
    let in_flight = format!(r#"balancer_backend_in_flight{{backend="{}"}}"#, backend.url());
    let mut client = Raw::connect(data_plane.proxy()).await?;
    client.send("GET /stream/100000/1 HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    client.head().await?;
    assert_eq!(data_plane.metric(&in_flight).await, Some(1.0));
    drop(client);
    wait::until_true("nothing to be in flight", async || data_plane.metric(&in_flight).await == Some(0.0)).await?;
    Ok(())
}

/// Clients that post, again and again, until they are told to stop.
struct Posts {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<u64>>,
}

impl Posts {
    fn start(proxy: SocketAddr, count: usize) -> Self {
        let (stop, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..count {
            let stop = stop.clone();
            clients.spawn(async move {
                let mut done = 0;
                while !stop.load(Relaxed) {
                    let answer = http::send(proxy, "POST", "/echo", &[], "paid once").await?;
                    anyhow::ensure!(answer.status == 200 && answer.text() == "paid once", "{answer:?}");
                    done += 1;
                }
                Ok(done)
            });
        }
        Self { stop, clients }
    }

    async fn finish(mut self) -> Result<u64> {
        self.stop.store(true, Relaxed);
        let mut done = 0;
        while let Some(client) = self.clients.join_next().await {
            done += client.context("a client panicked")??;
        }
        Ok(done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_restarted_under_load_lose_no_request() -> Result<()> {
    let mut backends = [Backend::start_h2c().await?, Backend::start_h2c().await?];
    let deployment = in_front_of(&[&backends[0], &backends[1]], "").await?;
    let posts = Posts::start(deployment.data_plane()?.proxy(), 8);
    for backend in &mut backends {
        // The pool is told first, as in any orderly restart; the connection says goodbye (GOAWAY) with posts on it.
        backend.process.sigterm()?;
        assert_eq!(backend.process.exit_code().await?, 0);
        deployment.backend_is(&backend.url(), Health::Unhealthy).await?;
        backend.start_again().await?;
        let takes = format!(r#"balancer_backend_takes_requests{{backend="{}"}}"#, backend.url());
        let is_back = async || deployment.data_planes[0].metric(&takes).await == Some(1.0);
        wait::until_true("the backend to be back", is_back).await?;
    }
    let done = posts.finish().await?;
    println!("{done} posts");
    assert!(done > 100, "{done}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_a_connection() -> Result<()> {
    let backend = Backend::start_h2c().await?;
    let deployment = in_front_of(&[&backend], "").await?;
    let proxy = deployment.data_plane()?.proxy();
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(async move { http::get(proxy, "/delay/300").await.map(|answer| answer.status) });
    }
    while let Some(status) = clients.join_next().await {
        assert_eq!(status??, 200);
    }
    let connections = std::process::Command::new("sh")
        .args(["-c", &format!("ls -l /proc/{}/fd | grep -c socket:", backend.process.id())])
        .output()?;
    let sockets: u64 = String::from_utf8(connections.stdout)?.trim().parse()?;
    // Its listener, its runtime's own, a health check, and one connection for each of the two threads of the proxy.
    assert!(sockets <= 8, "{sockets} sockets");
    Ok(())
}
