//! More than one message on a connection: pipelining, early answers, bodies that hide requests.

use anyhow::{Result, ensure};
use e2e::{Database, Setup, raw};

use crate::{
    bench::Bench,
    case::{Case, final_head, passed, refused},
    recorder::Then,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

fn pipelines() -> Vec<Case> {
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    let length = post("Content-Length: 2\r\n", "hi");
    let chunked = post("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n");
    let close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let all = |parts: &[&str]| parts.concat();
    vec![
        passed("two", all(&[GET, GET])).answers(&[200; 2]).reaching(2),
        passed("twenty", GET.repeat(20)).answers(&[200; 20]).reaching(20),
        passed("an empty line between", all(&[GET, "\r\n", GET])).answers(&[200; 2]).reaching(2),
        passed("an empty line after a body", all(&[&length, "\r\n", GET])).answers(&[200; 2]).reaching(2),
        passed("bodies between", all(&[&length, GET, &chunked, GET])).answers(&[200; 4]).reaching(4),
        passed("HEAD first", all(&[head, GET])).answers(&[200; 2]).answers_head(0).reaching(2),
        passed("HEAD last", all(&[GET, head])).answers(&[200; 2]).answers_head(1).reaching(2),
        passed("close in the middle", all(&[GET, close, GET])).answers(&[200; 2]).reaching(2).closed(),
        passed("HTTP/1.0 in the middle", all(&[GET, "GET / HTTP/1.0\r\nHost: h\r\n\r\n", GET]))
            .answers(&[200; 2])
            .reaching(2)
            .closed(),
        refused("garbage after one", all(&[GET, "nonsense\r\n\r\n", GET]), &[]).answers(&[200, 400]).reaching(1),
        refused("a body longer than its length", post("Content-Length: 2\r\n", "hi!\r\n\r\n"), &[])
            .answers(&[200, 400])
            .reaching(1),
        refused("bytes after the last chunk", all(&[&chunked, "x: y\r\n\r\n"]), &[]).answers(&[200, 400]).reaching(1),
        refused("a bare LF between", all(&[GET, "\n", GET]), &[]).answers(&[200, 400]).reaching(1),
        refused("a good one after a bad one", all(&["GET / HTTP/1.1\r\n\r\n", HIDDEN]), &[400]),
        refused("a good one after a bad length", all(&[&post("Content-Length: 2, 2\r\n", "hi"), HIDDEN]), &[400]),
    ]
}

/// What two servers could read as one request or as two.
fn smuggled() -> Vec<Case> {
    let lengths = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", HIDDEN.len() + 5);
    let body = format!("0\r\n\r\n{HIDDEN}");
    let in_length = post(&format!("Content-Length: {}\r\n", HIDDEN.len()), HIDDEN);
    vec![
        refused("CL.TE", post(&lengths, &body), &[400]),
        refused("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("26\r\n{HIDDEN}\r\n0\r\n\r\n")), &[400]),
        refused("TE.TE", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", &body), &[400, 501]),
        refused("TE with a space", post("Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", &body), &[400]),
        refused("CL.CL", post("Content-Length: 0\r\nContent-Length: 38\r\n", HIDDEN), &[400]),
        refused("a field that ends the head", format!("GET / HTTP/1.1\r\nHost: h\r\nX: a\n\n{HIDDEN}"), &[400]),
        refused("a target that ends the line", format!("GET /a\nHost:h\n\n{HIDDEN} HTTP/1.1\r\nHost: h\r\n\r\n"), &[400]),
        refused("HTTP/1.0 with TE", format!("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), &[400]),
        passed("a request in a body", in_length).body(HIDDEN),
        passed("a body on HEAD", format!("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()))
            .answers_head(0)
            .body(HIDDEN),
        passed("a body on an upgrade to h2c", format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()))
            .body(HIDDEN),
        passed("pipelined behind an upgrade to h2c", format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n{GET}"))
            .answers(&[200; 2])
            .reaching(2),
        passed("pipelined behind a WebSocket that is refused", format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{GET}"))
            .answers(&[200; 2])
            .reaching(2),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences() -> Result<()> {
    let cases: Vec<_> = pipelines().into_iter().chain(smuggled()).collect();
    for bench in Bench::both().await? {
        bench.play(&cases).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_prefix_of_a_request_reaches_nobody() -> Result<()> {
    let bench = Bench::start().await?;
    let head = "POST /prefix HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";
    for end in 0..=head.len() {
        let mut raw = bench.connect().await?;
        raw.send(&head[..end]).await?;
        raw.finish().await?;
        let answer = raw.rest().await.unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        ensure!(!answer.starts_with("HTTP/1.1 2"), "{end}: {answer}");
    }
    let record = bench.recorder.take().await?;
    ensure!(record.seen.is_empty() && record.violations.is_empty(), "{record:?}");
    bench.serves().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_at_a_time_is_a_request_too() -> Result<()> {
    let bench = Bench::start().await?;
    let mut raw = bench.connect().await?;
    for byte in post("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n").as_bytes().chunks(1) {
        raw.send(byte).await?;
        tokio::task::yield_now().await;
    }
    ensure!(raw.answer().await?.0.status() == 200);
    bench.open(&mut raw).await?;
    ensure!(bench.recorder.take().await?.seen[0].body == b"hi");
    Ok(())
}

/// The backend answers at the head; the rest of the body comes later, and is a request in disguise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_an_early_answer_is_never_a_request() -> Result<()> {
    let bench = Bench::start().await?;
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    bench.recorder.reply_early("/early", early, Then::Close);
    let framings = [format!("Content-Length: {}\r\n", 10_000), "Transfer-Encoding: chunked\r\n".into()];
    for framing in framings {
        let mut raw = bench.connect().await?;
        raw.send(format!("POST /early HTTP/1.1\r\nHost: h\r\n{framing}\r\n")).await?;
        let head = final_head(&mut raw).await?;
        ensure!((head.status(), raw.body(&head).await?.as_slice()) == (413, b"no"), "{head:?}");
        // It may be closed already.
        let _ = raw.send(HIDDEN.repeat(50)).await;
        let rest = raw.rest().await.unwrap_or_default();
        let rest = String::from_utf8_lossy(&rest);
        ensure!(!rest.contains("200"), "{framing:?}: {rest}");
    }
    let record = bench.recorder.take().await?;
    let targets: Vec<_> = record.seen.iter().map(|seen| seen.target()).collect();
    ensure!(!targets.contains(&"/hidden") && record.violations.is_empty(), "{record:?}");
    bench.serves().await
}

/// 429 before the body was read: the body is drained, or the connection closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_s_body_is_never_a_request() -> Result<()> {
    let setup = Setup::new(Database::sqlite()?).default_limits("{ capacity: 1, rate_per_sec: 0 }");
    let bench = Bench::of(setup, &[]).await?;
    ensure!(raw::exchange(bench.proxy, GET).await?.0.status() == 200);
    let chunks = format!("26\r\n{HIDDEN}\r\n0\r\n\r\n");
    for request in [
        post(&format!("Content-Length: {}\r\n", HIDDEN.len()), HIDDEN),
        post("Transfer-Encoding: chunked\r\n", &chunks),
        post(&format!("Content-Length: {}\r\n", 1 << 20), &HIDDEN.repeat(1000)),
        post("Content-Length: 1000000000\r\n", &HIDDEN.repeat(100)),
    ] {
        let mut raw = bench.connect().await?;
        raw.send(&request).await?;
        ensure!(raw.answer().await?.0.status() == 429);
        raw.finish().await?;
        let rest = raw.rest().await.unwrap_or_default();
        ensure!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }
    let record = bench.recorder.take().await?;
    ensure!(record.seen.len() == 1 && record.violations.is_empty(), "{record:?}");
    Ok(())
}
