//! What the proxy does to heads, byte by byte.

use anyhow::Result;
use e2e::{Database, Deployment, Scripted, Setup, raw};
use raw::Head;

/// Sends a request through the proxy to a backend with this answer; returns what the client and the backend saw.
async fn through(answer: &'static [u8], request: &str) -> Result<(Head, String, Head)> {
    let (deployment, backend) = with_backend(answer).await?;
    let (head, body) = raw::exchange(deployment.data_plane()?.proxy(), request).await?;
    let seen = backend.heads();
    assert_eq!(seen.len(), 1, "{seen:?}");
    Ok((head, body, seen[0].clone()))
}

async fn with_backend(answer: &'static [u8]) -> Result<(Deployment, Scripted)> {
    let backend = Scripted::answering(answer).await?;
    Ok((Setup::new(Database::sqlite()?).backend_url(backend.url()).start().await?, backend))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_arrives_byte_for_byte() -> Result<()> {
    let (deployment, backend) = with_backend(OK).await?;
    let targets = ["/a%2Fb/../c?x=%zz&&", "/a//b/./c/?", "/?q=a+b%20c;d=%C3%A9&e=[1]{2}", "/%00", "/*", "//double"];
    for target in targets {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (head, body) = raw::exchange(deployment.data_plane()?.proxy(), &request).await?;
        assert_eq!((head.status(), body.as_str()), (200, "ok"), "{target}");
    }
    let heads = backend.heads();
    let seen: Vec<_> = heads.iter().filter_map(|head| head.first_line().split(' ').nth(1)).collect();
    assert_eq!(seen, targets);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_headers_stop_here_in_both_directions() -> Result<()> {
    let (answer, _, request) = through(
        b"HTTP/1.1 200 OK\r\nConnection: X-Private, close\r\nX-Private: 1\r\nKeep-Alive: timeout=9\r\n\
          Proxy-Connection: x\r\nX-Public: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com:1\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
         TE: trailers\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Twice: a\r\nX-Twice: b\r\nAuthorization: t\r\n\r\n",
    )
    .await?;
    for gone in ["x-mine", "keep-alive", "te", "proxy-connection", "upgrade"] {
        assert_eq!(request.header(gone), None, "{request:?}");
    }
    assert_eq!(request.all("x-twice"), ["a", "b"]);
    assert_eq!((request.header("host"), request.header("authorization")), (Some("example.com:1"), Some("t")));
    for gone in ["x-private", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.header(gone), None, "{answer:?}");
    }
    assert_eq!((answer.header("x-public"), answer.all("set-cookie")), (Some("2"), vec!["a=1", "b=2"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_learns_who_asked() -> Result<()> {
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 192.0.2.7\r\nVia: 1.0 edge\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\r\n";
    let (answer, _, seen) = through(OK, request).await?;
    assert_eq!(seen.all("x-forwarded-for"), ["192.0.2.7, 127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"], "a stranger's word is not believed");
    assert_eq!(seen.all("x-forwarded-host"), ["example.com"]);
    assert_eq!(seen.all("via").join(", "), "1.0 edge, 1.1 balancer");
    assert_eq!(answer.all("via"), ["1.1 balancer"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_method_goes_through() -> Result<()> {
    for method in ["DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"] {
        let (head, body, seen) = through(OK, &format!("{method} /x HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        assert_eq!((head.status(), body.as_str()), (200, "ok"));
        assert_eq!(seen.first_line(), format!("{method} /x HTTP/1.1"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_have_none() -> Result<()> {
    for (answer, request, status, length) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"[..], "HEAD", 200, Some("1000")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, None),
        (b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "GET", 304, None),
    ] {
        let (deployment, _backend) = with_backend(answer).await?;
        let mut raw = raw::Raw::connect(deployment.data_plane()?.proxy()).await?;
        raw.send(format!("{request} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await?;
        let head = raw.head().await?;
        assert_eq!(
            (head.status(), head.header("content-length"), head.header("transfer-encoding")),
            (status, length, None)
        );
        assert_eq!(raw.rest().await?, b"", "{request} {status}");
    }
    Ok(())
}
