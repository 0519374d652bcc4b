//! Header fields: grammar, size, and what a proxy does to them (RFC 9110 sections 5, 7.6, 10.1.1, 10.1.4).

use anyhow::Result;

use crate::{
    bench::Bench,
    case::{Case, passed, refused},
};

/// A GET with further lines.
fn with(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: h\r\n", lines.as_ref(), b"\r\n"].concat()
}

fn names() -> Vec<Case> {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let mut cases = Vec::new();
    for byte in (0..=0x7f).chain([0x80, 0xa0, 0xff]).filter(|b| !(is_token(b) || b":\r\n".contains(b))) {
        let line = [b"X".as_slice(), &[byte], b"Y: z\r\n"].concat();
        cases.push(refused(format!("byte {byte:#04x} in a name"), with(line), &[400]));
    }
    cases.push(passed("every byte of a token", with("!#$%&'*+-.^_`|~09aZ: v\r\n")).sees("!#$%&'*+-.^_`|~09az", &["v"]));
    for line in [
        "X : y\r\n",
        "X\t: y\r\n",
        ": y\r\n",
        " X: y\r\n",
        "X y\r\n",
        "X\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X:\r\n \r\n",
    ] {
        cases.push(refused(format!("line {line:?}"), with(line), &[400]));
    }
    cases
}

fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in (0..0x20).chain([0x7f]).filter(|b| !b"\t\r\n".contains(b)) {
        let line = [b"X: a".as_slice(), &[byte], b"b\r\n"].concat();
        cases.push(refused(format!("byte {byte:#04x} in a value"), with(line), &[400]));
    }
    for line in [
        "X: a\rb\r\n",
        "X: a\r\r\n",
        "X: a\n",
        "X: a\nY: b\r\n",
        "X: a\r\n\n",
        "X: a\r \r\n",
        "\nX: a\r\n",
        "X: a\0\r\n",
    ] {
        cases.push(refused(format!("line {line:?}"), with(line), &[400]));
    }
    cases.push(passed("empty", with("X:\r\n")).sees("x", &[""]));
    cases.push(passed("trimmed", with("X: \t a b\t \r\n")).sees("x", &["a b"]));
    cases.push(passed("a tab within", with("X: a\tb\r\n")).sees("x", &["a\tb"]));
    cases.push(passed("colons", with("X: :a:b:\r\n")).sees("x", &[":a:b:"]));
    cases.push(passed("twice, in order", with("X: 1\r\nY: 2\r\nX: 3\r\n")).sees("x", &["1", "3"]));
    cases.push(passed("UTF-8", with("X: é\r\n")).sees("x", &["é"]));
    cases
}

fn sizes() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    vec![
        passed("80 fields", with(many(80))),
        refused("101 fields", with(many(101)), &[431]),
        refused("5,000 fields", with(many(5000)), &[431]),
        passed("a value of 16 KiB", with(long(16 << 10))),
        refused("a value of 40 KiB", with(long(40 << 10)), &[431]),
        refused("a value of 1 MiB", with(long(1 << 20)), &[431]),
        refused(
            "a head without an end",
            [b"GET / HTTP/1.1\r\nHost: h\r\nX: ".as_slice(), &[b'y'; 70_000]].concat(),
            &[431],
        ),
        refused("a name of 40 KiB", with(format!("{}: y\r\n", "x".repeat(40 << 10))), &[431]),
    ]
}

fn hop_by_hop(scheme: &str) -> Vec<Case> {
    let gone = |line: &str, name: &str| passed(format!("{line:?}"), with(format!("{line}\r\n"))).sees(name, &[]);
    vec![
        gone("Keep-Alive: timeout=5", "keep-alive"),
        gone("Proxy-Connection: keep-alive", "proxy-connection"),
        gone("TE: trailers", "te"),
        gone("TE: gzip", "te"),
        gone("Upgrade: h2c", "upgrade"),
        gone("Upgrade: TLS/1.0", "upgrade"),
        gone("Connection: keep-alive", "connection"),
        gone("Connection: X-A\r\nX-A: 1", "x-a"),
        gone("X-A: 1\r\nConnection: X-A", "x-a"),
        gone("Connection: x-a\r\nX-A: 1", "x-a"),
        gone("Connection: keep-alive, X-A ,x-b\r\nX-A: 1\r\nX-B: 2", "x-b"),
        gone("Connection: keep-alive\r\nConnection: X-A\r\nX-A: 1", "x-a"),
        gone("Connection: ,,X-A,,\r\nX-A: 1", "x-a"),
        gone("Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "http2-settings"),
        gone("Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "http2-settings"),
        passed(
            "Connection names nothing of ours",
            with("Connection: X-Forwarded-For, Via, X-Forwarded-Proto, Host, X-A\r\nX-A: 1\r\n"),
        )
        .sees("x-forwarded-for", &["127.0.0.1"])
        .sees("via", &["1.1 balancer"])
        .sees("x-forwarded-proto", &[scheme])
        .sees("host", &["h"])
        .sees("x-a", &[]),
        passed("Connection: close, X-Forwarded-For, Host", with("Connection: close, X-Forwarded-For, Host\r\n"))
            .closed()
            .sees("x-forwarded-for", &["127.0.0.1"])
            .sees("host", &["h"])
            .says("connection", &["close"]),
        passed("Connection names nonsense", with("Connection: \"a b\", @, X-A\r\nX-A: 1\r\n")).sees("x-a", &[]),
        passed("end-to-end fields stay", with("Cookie: a=1\r\nAuthorization: x\r\nAccept: */*\r\nX: 1\r\n"))
            .sees("cookie", &["a=1"])
            .sees("authorization", &["x"])
            .sees("accept", &["*/*"])
            .sees("x", &["1"]),
        passed("Via is added to", with("Via: 1.0 a, 1.1 b\r\n")).sees("via", &["1.0 a, 1.1 b", "1.1 balancer"]),
        passed("X-Forwarded-For is added to", with("X-Forwarded-For: 1.2.3.4\r\n"))
            .sees("x-forwarded-for", &["1.2.3.4, 127.0.0.1"]),
        passed("two become one", with("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n"))
            .sees("x-forwarded-for", &["1.2.3.4, 5.6.7.8, 127.0.0.1"]),
        passed("X-Forwarded-Proto of a stranger", with("X-Forwarded-Proto: https\r\n"))
            .sees("x-forwarded-proto", &[scheme]),
    ]
}

fn expectations() -> Vec<Case> {
    let post = |line: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\nContent-Length: 2\r\n\r\nhi");
    vec![
        refused("Expect: y", post("Expect: y"), &[417, 400]),
        refused("Expect: two", post("Expect: 100-continue, y"), &[417, 400]),
        refused("Expect: empty", post("Expect:"), &[417, 400]),
        passed("Expect: 100-continue with its body", post("Expect: 100-continue"))
            .body("hi")
            .sees("expect", &["100-continue"]),
        passed("Expect: in other case", post("eXpect: 100-Continue")).body("hi"),
        passed("Expect without a body", with("Expect: 100-continue\r\n")).sees("expect", &[]),
        passed("Expect in HTTP/1.0 is ignored", "GET / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\n\r\n").closed(),
        passed("Max-Forwards on GET stays", with("Max-Forwards: 0\r\n")).sees("max-forwards", &["0"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads() -> Result<()> {
    for bench in Bench::both().await? {
        let cases = [names(), values(), sizes(), hop_by_hop(bench.scheme()), expectations()];
        bench.play(&cases.into_iter().flatten().collect::<Vec<_>>()).await;
    }
    Ok(())
}
