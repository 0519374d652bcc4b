//! Answers of well-behaved backends: framing, interim answers, fields (RFC 9110 sections 6, 7.6 and 15, RFC 9112
//! section 6.3).

use anyhow::{Result, ensure};
use e2e::{Database, Scripted, Setup};

use crate::{
    bench::Bench,
    case::{Case, final_head, passed},
    recorder::Then,
};

/// A backend's answer, the method it answers, and what the client must see.
struct Answer {
    name: &'static str,
    method: &'static str,
    bytes: &'static str,
    then: Then,
    expect: fn(Case) -> Case,
}

const fn answer(name: &'static str, bytes: &'static str, expect: fn(Case) -> Case) -> Answer {
    Answer { name, method: "GET", bytes, then: Then::Keep, expect }
}

const fn to(method: &'static str, name: &'static str, bytes: &'static str, expect: fn(Case) -> Case) -> Answer {
    Answer { name, method, bytes, then: Then::Keep, expect }
}

const fn closing(name: &'static str, bytes: &'static str, expect: fn(Case) -> Case) -> Answer {
    Answer { name, method: "GET", bytes, then: Then::Close, expect }
}

const FRAMINGS: [Answer; 22] = [
    answer("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", |c| {
        c.says_body("hi").says("content-length", &["2"])
    }),
    answer("length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", |c| {
        c.says_body("").says("content-length", &["0"])
    }),
    answer("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", |c| {
        c.says_body("hi").says("transfer-encoding", &["chunked"]).says("content-length", &[])
    }),
    answer("no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", |c| c.says_body("")),
    answer(
        "chunks with extensions",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0;c\r\n\r\n",
        |c| c.says_body("hi"),
    ),
    answer(
        "chunks with trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
        |c| c.says_body("hi"),
    ),
    closing("to the end of the connection", "HTTP/1.1 200 OK\r\n\r\nhi", |c| {
        c.says_body("hi").says("content-length", &[])
    }),
    closing("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhi", |c| c.says_body("hi")),
    closing("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", |c| c.says_body("hi")),
    closing("Connection: close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", |c| {
        c.says_body("hi").says("connection", &[])
    }),
    answer("no reason phrase", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", |c| c.says_body("hi")),
    answer("a strange reason phrase", "HTTP/1.1 200 Jolly: Good\r\nContent-Length: 2\r\n\r\nhi", |c| c.says_body("hi")),
    answer("204", "HTTP/1.1 204 No Content\r\n\r\n", |c| {
        c.answers(&[204]).says("content-length", &[]).says("transfer-encoding", &[])
    }),
    answer("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nETag: \"x\"\r\n\r\n", |c| {
        c.answers(&[304]).says("etag", &["\"x\""])
    }),
    answer("304", "HTTP/1.1 304 Not Modified\r\n\r\n", |c| c.answers(&[304]).says("transfer-encoding", &[])),
    answer("205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", |c| c.answers(&[205])),
    answer("an unknown status", "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi", |c| {
        c.answers(&[299]).says_body("hi")
    }),
    answer("999", "HTTP/1.1 999 Very Odd\r\nContent-Length: 2\r\n\r\nhi", |c| c.answers(&[999]).says_body("hi")),
    to("HEAD", "length to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", |c| {
        c.answers_head(0).says("content-length", &["1234"])
    }),
    to("HEAD", "chunks to HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", |c| c.answers_head(0)),
    to("HEAD", "nothing to HEAD", "HTTP/1.1 200 OK\r\n\r\n", |c| c.answers_head(0)),
    to("HEAD", "404 to HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", |c| {
        c.answers(&[404]).answers_head(0)
    }),
];

const FIELDS: [Answer; 14] = [
    answer(
        "a field of the connection",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nhi",
        |c| c.says("keep-alive", &[]),
    ),
    answer("Proxy-Connection", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nProxy-Connection: keep-alive\r\n\r\nhi", |c| {
        c.says("proxy-connection", &[])
    }),
    answer(
        "what Connection names",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-A, keep-alive\r\nX-A: 1\r\nX-B: 2\r\n\r\nhi",
        |c| c.says("x-a", &[]).says("connection", &[]).says("x-b", &["2"]),
    ),
    answer(
        "Connection cannot take the length",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Content-Length\r\n\r\nhi",
        |c| c.says_body("hi").says("content-length", &["2"]),
    ),
    answer(
        "Upgrade without 101",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\n\r\nhi",
        |c| c.says("upgrade", &[]),
    ),
    answer("TE", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTE: trailers\r\n\r\nhi", |c| c.says("te", &[])),
    answer(
        "two cookies",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhi",
        |c| c.says("set-cookie", &["a=1", "b=2"]),
    ),
    answer("Via", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 inner\r\n\r\nhi", |c| {
        c.says("via", &["1.1 inner", "1.1 balancer"])
    }),
    answer(
        "Date stays",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\nhi",
        |c| c.says("date", &["Tue, 15 Nov 1994 08:12:31 GMT"]),
    ),
    answer("Server stays", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x/1\r\n\r\nhi", |c| {
        c.says("server", &["x/1"])
    }),
    answer("an empty field", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-E:\r\n\r\nhi", |c| c.says("x-e", &[""])),
    answer("Location as it is", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /a/../b?%zz\r\n\r\n", |c| {
        c.answers(&[302]).says("location", &["/a/../b?%zz"])
    }),
    answer("100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", |c| {
        c.says_body("hi")
    }),
    answer(
        "103 and 102 first",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        |c| c.says_body("hi").says("link", &[]),
    ),
];

fn cases(bench: &Bench) -> Vec<Case> {
    let answers = FRAMINGS.iter().chain(&FIELDS).enumerate();
    answers
        .map(|(index, answer)| {
            let target = format!("/answer/{index}");
            bench.recorder.reply(&target, answer.bytes, answer.then);
            let request = format!("{} {target} HTTP/1.1\r\nHost: h\r\n\r\n", answer.method);
            (answer.expect)(passed(answer.name, request))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers() -> Result<()> {
    let bench = Bench::start().await?;
    bench.play(&cases(&bench)).await;
    Ok(())
}

/// A client of HTTP/1.0 knows neither chunks nor interim answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_http_1_0() -> Result<()> {
    let bench = Bench::start().await?;
    let answers = FRAMINGS.iter().chain(&FIELDS).filter(|a| a.method == "GET").enumerate();
    for (index, answer) in answers {
        let target = format!("/old/{index}");
        bench.recorder.reply(&target, answer.bytes, answer.then);
        let mut raw = bench.connect().await?;
        raw.send(format!("GET {target} HTTP/1.0\r\n\r\n")).await?;
        let head = raw.head().await?;
        ensure!(head.status() >= 200, "{}: an interim answer", answer.name);
        ensure!(head.header("transfer-encoding").is_none(), "{}: {head:?}", answer.name);
        let body = raw.rest().await?;
        let whole = head.header("content-length").is_none_or(|l| body.len().to_string() == l || body.is_empty());
        ensure!(whole, "{}: {head:?} {body:?}", answer.name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_is_said_once_and_only_to_who_asked() -> Result<()> {
    let bench = Bench::start().await?;
    let post = |version: &str, expect: &str| {
        format!("POST /expect HTTP/{version}\r\nHost: h\r\n{expect}Content-Length: 2\r\n\r\n")
    };
    let mut raw = bench.connect().await?;
    raw.send(post("1.1", "Expect: 100-continue\r\n")).await?;
    ensure!(raw.head().await?.status() == 100);
    raw.send("hi").await?;
    let (head, body) = raw.answer().await?;
    ensure!(head.status() == 200 && body == "ok", "{head:?}");
    for request in [post("1.1", ""), post("1.0", "Expect: 100-continue\r\n")] {
        let mut raw = bench.connect().await?;
        raw.send(&request).await?;
        raw.send("hi").await?;
        let head = raw.head().await?;
        ensure!(head.status() == 200, "{request:?}: {head:?}");
    }
    Ok(())
}

/// A request that is refused is told so instead of being asked for its body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_instead_of_a_hundred() -> Result<()> {
    let setup = Setup::new(Database::sqlite()?).default_limits("{ capacity: 1, rate_per_sec: 0 }");
    let bench = Bench::of(setup, &[]).await?;
    for status in [200, 429] {
        let mut raw = bench.connect().await?;
        raw.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await?;
        let first = raw.head().await?.status();
        ensure!(first == if status == 200 { 100 } else { 429 }, "{first}");
        if status == 200 {
            raw.send("hi").await?;
            ensure!(final_head(&mut raw).await?.status() == 200);
        }
    }
    Ok(())
}

/// The backend decides at the head: its client is told so instead of being asked for the body, which goes nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_s_refusal_comes_instead_of_a_hundred() -> Result<()> {
    let bench = Bench::start().await?;
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    bench.recorder.reply_early("/large", refusal, Then::Close);
    let mut raw = bench.connect().await?;
    raw.send("POST /large HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n").await?;
    let head = raw.head().await?;
    ensure!((head.status(), raw.body(&head).await?.as_slice()) == (413, b"no"), "{head:?}");
    // What follows is the body, or nothing any more; never a request.
    let _ = raw.send("GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n").await;
    bench.closed(&mut raw).await?;
    let record = bench.recorder.take().await?;
    ensure!(record.seen.is_empty() && record.violations.is_empty(), "{record:?}");
    bench.serves().await
}

/// A backend that does not know 100 gets the body after a while all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_never_asks_gets_the_body() -> Result<()> {
    let backend = Scripted::start(|head, mut raw| async move {
        let body = raw.body(&head).await?;
        raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await?;
        raw.send(body).await
    })
    .await?;
    let bench = Bench::in_front_of(Setup::new(Database::sqlite()?), backend.url()).await?;
    let mut raw = bench.connect().await?;
    raw.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await?;
    ensure!(raw.head().await?.status() == 100);
    raw.send("hi").await?;
    ensure!(raw.answer().await?.1 == "hi");
    ensure!(backend.heads()[0].header("expect") == Some("100-continue"));
    Ok(())
}
