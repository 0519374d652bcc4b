//! Backends that do not speak HTTP, or stop in the middle: the client gets 502 or a message that is visibly cut off,
//! never a clean end; and the next client sees nothing of it.

use anyhow::{Context, Result, ensure};
use e2e::raw::Raw;

use crate::{bench::Bench, case::final_head, recorder::Then};

/// What a client must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// 502 from the proxy.
    BadGateway,
    /// A message that breaks off.
    CutOff,
    /// One of both.
    Either,
    /// The answer, whole, with this body; what else the backend said is nobody's.
    Whole(&'static str),
}

use Outcome::{BadGateway, CutOff, Either, Whole};

struct Broken {
    name: &'static str,
    bytes: Vec<u8>,
    then: Then,
    outcome: Outcome,
}

fn broken(name: &'static str, bytes: impl AsRef<[u8]>, then: Then, outcome: Outcome) -> Broken {
    Broken { name, bytes: bytes.as_ref().to_vec(), then, outcome }
}

fn status_lines() -> Vec<Broken> {
    let rest = "\r\nContent-Length: 2\r\n\r\nhi";
    let lines = [
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 099 Low",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/2.0 200 OK",
        "HTTP/9.9 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP 200 OK",
        "200 OK",
        "ICY 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 O\0K",
        " HTTP/1.1 200 OK",
        "<html>hello</html>",
        "GET / HTTP/1.1",
        "220 mail.example.com ESMTP",
        "SSH-2.0-OpenSSH",
        "\x15\x03\x01\x00\x02\x02\x46",
    ];
    lines.into_iter().map(|line| broken(line, format!("{line}{rest}"), Then::Close, BadGateway)).collect()
}

fn fields() -> Vec<Broken> {
    let lines: [&'static str; 26] = [
        "X : y",
        "X y",
        ": y",
        " X: y",
        "X: a\rb",
        "X: a\0b",
        "X: a\x01b",
        "X: a\x7fb",
        "X\0: y",
        "X(: y",
        "X: a\r\n b",
        "X\u{e9}: y",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2,3",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 2x",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
    ];
    let answer = |line: &str| match line.contains("Content-Length") || line.contains("Transfer-Encoding") {
        true => format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        false => format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{line}\r\n\r\nhi"),
    };
    lines.into_iter().map(|line| broken(line, answer(line), Then::Close, BadGateway)).collect()
}

fn heads() -> Vec<Broken> {
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = |length: usize| "y".repeat(length);
    vec![
        broken("nothing", "", Then::Close, BadGateway),
        broken("half a status line", "HTTP/1.1 20", Then::Close, BadGateway),
        broken("half a head", "HTTP/1.1 200 OK\r\nContent-Le", Then::Close, BadGateway),
        broken("no empty line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", Then::Close, BadGateway),
        broken("HTTP/0.9", "just text\n", Then::Close, BadGateway),
        broken("binary", [0u8, 1, 2, 255, 254, 13, 10, 13, 10], Then::Close, BadGateway),
        broken(
            "1,000 fields",
            format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", many(1000)),
            Then::Close,
            BadGateway,
        ),
        broken("a head of 1 MiB", format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", long(1 << 20)), Then::Close, BadGateway),
        broken("a head without an end", format!("HTTP/1.1 200 OK\r\nX: {}", long(1 << 20)), Then::Hold, BadGateway),
        broken(
            "101 nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Then::Keep,
            BadGateway,
        ),
        broken(
            "101 to another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI",
            Then::Hold,
            BadGateway,
        ),
        broken("only 100", "HTTP/1.1 100 Continue\r\n\r\n", Then::Close, BadGateway),
        broken("only 103", "HTTP/1.1 103 Early Hints\r\n\r\n", Then::Close, BadGateway),
        broken("garbage after 100", "HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n", Then::Close, BadGateway),
    ]
}

fn bodies() -> Vec<Broken> {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let length = |length: usize, body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    let mut cases = vec![
        broken("short of its length", length(10, "half"), Then::Close, CutOff),
        broken("nothing of its length", length(10, ""), Then::Close, Either),
        broken("a large body, cut off", length(1_000_000, &"x".repeat(500_000)), Then::Close, CutOff),
        broken("no last chunk", chunked("2\r\nhi\r\n"), Then::Close, CutOff),
        broken("half a chunk", chunked("9\r\nhi"), Then::Close, CutOff),
        broken("half a size", chunked("2\r\nhi\r\n0"), Then::Close, CutOff),
        broken("no end after the last chunk", chunked("2\r\nhi\r\n0\r\n"), Then::Close, CutOff),
        broken("half a trailer", chunked("2\r\nhi\r\n0\r\nX-T: "), Then::Close, CutOff),
        broken("no chunk at all", chunked(""), Then::Close, Either),
    ];
    for body in [
        "0x2\r\nhi\r\n",
        "-2\r\nhi\r\n",
        "+2\r\nhi\r\n",
        "g\r\n",
        "\r\n",
        "2\r\nhiX\r\n",
        "10000000000000000\r\nhi\r\n",
        "2_0\r\nhi\r\n",
    ] {
        let name = Box::leak(format!("chunk {body:?}").into_boxed_str());
        cases.push(broken(name, chunked(&format!("{body}0\r\n\r\n")), Then::Close, Either));
    }
    cases
}

/// Bytes that belong to no answer: nobody must get them.
fn beyond() -> Vec<Broken> {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    vec![
        broken("another answer", format!("{ok}{evil}"), Then::Keep, Whole("hi")),
        broken("another answer after chunks", format!("{chunks}{evil}"), Then::Keep, Whole("hi")),
        broken("garbage after the end", format!("{ok}xyz"), Then::Keep, Whole("hi")),
        broken("one byte after the end", format!("{ok}\0"), Then::Keep, Whole("hi")),
        broken("a body on 204", format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"), Then::Keep, Whole("")),
        broken(
            "a length on 204",
            format!("HTTP/1.1 204 No Content\r\nContent-Length: 43\r\n\r\n{evil}"),
            Then::Keep,
            Whole(""),
        ),
        broken(
            "a body on 304",
            format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 43\r\n\r\n{evil}"),
            Then::Keep,
            Whole(""),
        ),
        broken("half an answer after the end", format!("{ok}HTTP/1.1 200 OK\r\nX: "), Then::Keep, Whole("hi")),
    ]
}

impl Broken {
    async fn play(&self, bench: &Bench, method: &str) -> Result<()> {
        bench.recorder.reply("/broken", &self.bytes, self.then);
        let mut raw = bench.connect().await?;
        raw.send(format!("{method} /broken HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        let (status, body) = read(&mut raw).await.context("no head")?;
        let cut = body.is_err();
        let as_expected = match self.outcome {
            BadGateway => status == 502 && !cut,
            CutOff => status == 200 && cut,
            Either => status == 502 || cut,
            Whole(text) => status != 502 && body.as_ref().is_ok_and(|b| b == text.as_bytes()),
        };
        ensure!(as_expected, "{status} {:?}", body.map(|b| String::from_utf8_lossy(&b).into_owned()));
        self.next_clients(bench).await
    }

    /// Nobody after it gets a byte of it, nor its connection.
    async fn next_clients(&self, bench: &Bench) -> Result<()> {
        for _ in 0..4 {
            bench.serves().await?;
        }
        let record = bench.recorder.take().await?;
        ensure!(record.violations.is_empty(), "{:?}", record.violations);
        let (of_it, of_others): (Vec<_>, Vec<_>) = record.seen.iter().partition(|seen| seen.target() == "/broken");
        let used = |connection| of_it.iter().any(|seen| seen.connection == connection);
        ensure!(!of_others.iter().any(|seen| used(seen.connection)), "its connection is used again");
        Ok(())
    }
}

async fn read(raw: &mut Raw) -> Result<(u16, Result<Vec<u8>>)> {
    let head = final_head(raw).await?;
    let framed = !matches!(head.status(), 204 | 304);
    let body = if framed { raw.body(&head).await } else { Ok(Vec::new()) };
    Ok((head.status(), body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_backends() -> Result<()> {
    let bench = Bench::start_with(&["--response-timeout-ms", "5000"]).await?;
    let cases: Vec<_> = [status_lines(), fields(), heads(), bodies(), beyond()].into_iter().flatten().collect();
    let mut complaints = Vec::new();
    for (case, method) in cases.iter().flat_map(|case| [(case, "GET"), (case, "POST")]) {
        if let Err(error) = case.play(&bench, method).await {
            complaints.push(format!("{method} {}: {error:#}", case.name));
            // What is left of it must not be held against the next.
            let _ = bench.recorder.take().await;
        }
    }
    println!("{} cases", cases.len() * 2);
    assert!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
    Ok(())
}

/// A backend that never comes to the point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_interim_answers_is_bounded() -> Result<()> {
    let bench = Bench::start_with(&["--response-timeout-ms", "3000"]).await?;
    let before = bench.resident_bytes()?;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    bench.recorder.reply("/flood", hints.repeat(200_000), Then::Hold);
    let mut raw = bench.connect().await?;
    raw.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    bench.serves().await?;
    let status = final_head(&mut raw).await?.status();
    ensure!(matches!(status, 502 | 504), "{status}");
    let grown = bench.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 8 << 20, "grown by {grown} bytes");
    bench.serves().await
}
