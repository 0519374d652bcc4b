//! Where a request ends: Content-Length, Transfer-Encoding, chunks, trailers (RFC 9112 sections 6 and 7).

use anyhow::Result;

use crate::{
    bench::Bench,
    case::{Case, passed, refused},
};

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn lengths() -> Vec<Case> {
    let mut cases = vec![
        passed("none", post("", "")).body(""),
        passed("0", post("Content-Length: 0\r\n", "")).body(""),
        passed("2", post("Content-Length: 2\r\n", "hi")).body("hi").sees("content-length", &["2"]),
        passed("02", post("Content-Length: 02\r\n", "hi")).body("hi"),
        passed("in other case", post("content-LENGTH: 2\r\n", "hi")).body("hi"),
        passed("on GET", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").body("hi"),
        passed("Connection cannot take it", post("Connection: Content-Length\r\nContent-Length: 2\r\n", "hi"))
            .body("hi"),
        passed("in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").closed().body("hi"),
        refused("two equal", post("Content-Length: 2\r\nContent-Length: 2\r\n", "hi"), &[400]),
        refused("two different", post("Content-Length: 2\r\nContent-Length: 3\r\n", "hi!"), &[400]),
        refused("two, 0 first", post("Content-Length: 0\r\nContent-Length: 2\r\n", "hi"), &[400]),
    ];
    for value in [
        "",
        "+2",
        "-2",
        "2,2",
        "2, 2",
        "2,3",
        "2 2",
        "0x2",
        "2.0",
        "2e0",
        "two",
        "2;",
        "\"2\"",
        "2_0",
        "²",
        "٢",
        "18446744073709551616",
        "18446744073709551618",
        "99999999999999999999999",
        "9223372036854775808",
        "2\t2",
        "2a",
        "a2",
    ] {
        cases.push(refused(
            format!("Content-Length {value:?}"),
            post(&format!("Content-Length: {value}\r\n"), "hi"),
            &[400],
        ));
    }
    for name in [
        "Content-Length ",
        "Content-Length\t",
        " Content-Length",
        "Content-Length\0",
        "Content Length",
        "\x0bContent-Length",
    ] {
        cases.push(refused(format!("{name:?}"), post(&format!("{name}: 2\r\n"), "hi"), &[400]));
    }
    cases
}

fn codings() -> Vec<Case> {
    let body = "2\r\nhi\r\n0\r\n\r\n";
    let mut cases = vec![
        passed("chunked", chunked(body)).body("hi"),
        passed("Chunked", post("Transfer-Encoding: Chunked\r\n", body)).body("hi"),
        passed("white space around", post("Transfer-Encoding: \t chunked \t\r\n", body)).body("hi"),
        passed("on GET", format!("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).body("hi"),
        passed(
            "Connection cannot take it",
            post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", body),
        )
        .body("hi"),
        refused(
            "in HTTP/1.0",
            format!("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
            &[400],
        ),
        refused("twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", body), &[400, 501]),
        refused(
            "twice, identity",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", body),
            &[400, 501],
        ),
        refused(
            "twice, the first",
            post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", body),
            &[400, 501],
        ),
    ];
    for value in [
        "",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,chunked",
        "identity",
        "chunked, identity",
        "identity, chunked",
        "xchunked",
        "chunked2",
        "chunke",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        ",chunked",
        "chunked,",
        ", chunked",
        "chunked ,",
        "x",
        "chunked x",
        "deflate",
        "cow",
        "trailers",
        "chunked\u{a0}",
        "chunKed\u{130}",
        "compress, chunked",
    ] {
        cases.push(refused(
            format!("coding {value:?}"),
            post(&format!("Transfer-Encoding: {value}\r\n"), body),
            &[400, 501],
        ));
    }
    for line in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:\x0cchunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: x\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chun\r\n ked",
        "Transfer-Encoding\x7f: chunked",
        "\0Transfer-Encoding: chunked",
        "Transfer-Encoding: \u{8}chunked",
    ] {
        cases.push(refused(format!("{line:?}"), post(&format!("{line}\r\n"), body), &[400, 501]));
    }
    // A name that only looks like it is another field.
    cases.push(passed("Transfer_Encoding", post("Transfer_Encoding: chunked\r\n", "")).body(""));
    cases.push(passed("X-Transfer-Encoding", post("X-Transfer-Encoding: chunked\r\n", "")).body(""));
    cases
}

fn both() -> Vec<Case> {
    let body = "2\r\nhi\r\n0\r\n\r\n";
    let pairs = [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", "Transfer-Encoding: chunked"),
        ("Content-Length: 12", "Transfer-Encoding: chunked"),
        ("Content-Length: x", "Transfer-Encoding: chunked"),
        ("Content-Length: 2", "Transfer-Encoding: gzip"),
        ("Content-Length: 2", "Transfer-Encoding: identity"),
        ("Content-Length: 2", "transfer-encoding: chunked"),
        ("Content-Length: 2", "Transfer-Encoding : chunked"),
    ];
    let either = pairs.iter().flat_map(|(a, b)| [format!("{a}\r\n{b}\r\n"), format!("{b}\r\n{a}\r\n")]);
    either.map(|fields| refused(format!("{fields:?}"), post(&fields, body), &[400, 501])).collect()
}

fn good_chunks() -> Vec<Case> {
    let big = format!("{:x}\r\n{}\r\n0\r\n\r\n", 100_000, "x".repeat(100_000));
    vec![
        passed("nothing", chunked("0\r\n\r\n")).body(""),
        passed("zeros", chunked("000\r\n\r\n")).body(""),
        passed("leading zeros", chunked("0002\r\nhi\r\n0\r\n\r\n")).body("hi"),
        passed("upper case", chunked("A\r\n0123456789\r\n0\r\n\r\n")).body("0123456789"),
        passed("lower case", chunked("a\r\n0123456789\r\n0\r\n\r\n")).body("0123456789"),
        passed("many", chunked("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")).body("abc"),
        passed("an extension", chunked("2;a\r\nhi\r\n0\r\n\r\n")).body("hi"),
        passed("an extension with a value", chunked("2;a=b\r\nhi\r\n0;c=\"d\"\r\n\r\n")).body("hi"),
        passed("line ends in the data", chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n")).body("\r\n\r\n"),
        passed("large", chunked(&big)).body("x".repeat(100_000)),
        passed("a request in the data", chunked("26\r\nGET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n\r\n0\r\n\r\n"))
            .body("GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n"),
        passed(
            "trailers are read, and passed on or dropped whole",
            chunked("2\r\nhi\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n"),
        )
        .body("hi"),
    ]
}

fn bad_chunks() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [
        "",
        "0x2",
        "+2",
        "-2",
        "2_0",
        " 2",
        "2 ",
        "2\t",
        "\t2",
        "g",
        "2g",
        "2,",
        "2.0",
        "two",
        "٢",
        "2:a",
        "0x",
        "x2",
        "2\0",
        "2;\0",
        "2;a\x01",
        "2;a\x7f",
        "10000000000000000",
        "fffffffffffffffff",
        "ffffffffffffffff",
        "8000000000000000",
        "7fffffffffffffff",
        "00000000000000000000002",
        "2;a\rb",
        "2\r",
        "2;a\r",
    ] {
        cases.push(
            refused(format!("chunk size {size:?}"), chunked(&format!("{size}\r\nhi\r\n0\r\n\r\n")), &[400]).cut(),
        );
    }
    let long = "a".repeat(70_000);
    for (name, body) in [
        ("a bare LF after the size", "2\nhi\r\n0\r\n\r\n"),
        ("a bare CR after the size", "2\rhi\r\n0\r\n\r\n"),
        ("a bare LF after the data", "2\r\nhi\n0\r\n\r\n"),
        ("a bare CR after the data", "2\r\nhi\r0\r\n\r\n"),
        ("no line end after the data", "2\r\nhi0\r\n\r\n"),
        ("more data than the size says", "2\r\nhi!\r\n0\r\n\r\n"),
        ("less data than the size says", "3\r\nhi\r\n0\r\n\r\n"),
        ("a bare LF at the end", "2\r\nhi\r\n0\r\n\n"),
        ("a bare LF after the last size", "2\r\nhi\r\n0\n\r\n"),
        ("a bare LF in an extension", "2;a\n\r\nhi\r\n0\r\n\r\n"),
        ("a trailer with a space before the colon", "0\r\nX : y\r\n\r\n"),
        ("a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"),
        ("a trailer with NUL", "0\r\nX: \0\r\n\r\n"),
        ("a trailer with a bare CR", "0\r\nX: a\rb\r\n\r\n"),
        ("a trailer with a bare LF", "0\r\nX: a\nY: b\r\n\r\n"),
        ("a trailer without a colon", "0\r\nX\r\n\r\n"),
        ("a request for a trailer", "0\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("an extension without an end", &format!("2;{long}")),
        ("trailers without an end", &format!("0\r\n{}", "X: y\r\n".repeat(20_000))),
        ("a size without an end", &"0".repeat(70_000)),
    ] {
        cases.push(refused(name, chunked(body), &[400, 431]).cut());
    }
    let extensions = format!("1;{}\r\nx\r\n", "e".repeat(200)).repeat(1000);
    cases.push(refused("extensions without measure", chunked(&extensions), &[400]).cut());
    cases
}

/// Fields that decide about a message must not come late (RFC 9110 section 6.5.1).
fn trailers() -> Vec<Case> {
    let fields = [
        "Host: evil",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Authorization: x",
        "X-Forwarded-For: 6.6.6.6",
        "X-API-Key: k",
        "Connection: close",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X",
        "Upgrade: h2c",
        "Proxy-Connection: close",
        "HTTP2-Settings: AAMAAABk",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6",
        "Cookie: a=1",
        "X-Nominated: 1",
    ];
    // All of them are announced: that alone must not be enough. What Connection names is of this connection.
    let with = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let head = format!("Connection: x-nominated\r\nTrailer: X-Good, {name}\r\nTransfer-Encoding: chunked\r\n");
        format!("POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n2\r\nhi\r\n0\r\n{line}\r\nX-Good: 1\r\n\r\n")
    };
    fields
        .into_iter()
        .map(|line| {
            let case = passed(format!("trailer {line:?}"), with(line)).body("hi");
            case.sees("host", &["h"])
                .sees("x-forwarded-for", &["127.0.0.1"])
                .sees("authorization", &[])
                .trailers(&[("x-good", "1")])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn framing() -> Result<()> {
    for bench in Bench::both().await? {
        let cases = [lengths(), codings(), both(), good_chunks(), bad_chunks(), trailers()];
        bench.play(&cases.into_iter().flatten().collect::<Vec<_>>()).await;
    }
    Ok(())
}
