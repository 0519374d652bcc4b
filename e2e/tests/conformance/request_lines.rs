//! Request lines: method, target, version (RFC 9112 section 3, RFC 9110 sections 7.1 and 9).

use anyhow::Result;

use crate::{
    bench::Bench,
    case::{Case, passed, refused},
};

/// A GET of a target.
fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn with_method(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn targets_that_pass() -> Vec<Case> {
    let targets = [
        "/",
        "//",
        "///a//b/",
        "/a/./b/../c",
        "/..",
        "/%2e%2e/%2E",
        "/a%2Fb",
        "/a%2fb",
        "/%00",
        "/%zz",
        "/%",
        "/a;b=c",
        "/a:b@c",
        "/*",
        "/~!$&'()*+,=",
        "/?",
        "/??",
        "/?a=b&&c==d",
        "/?%0d%0aX:%20y",
        "/?q=http://x/y?z",
        "/a?b/../c",
        "/index.html?",
        "/CaSe",
        "/http://h/",
        "/a+b?c+d",
    ];
    let same = |t: &str| passed(format!("target {t}"), target(t)).line(format!("GET {t} HTTP/1.1"));
    let long = format!("/{}", "x".repeat(7000));
    targets.into_iter().chain([long.as_str()]).map(same).collect()
}

/// On a connection of this scheme.
fn absolute_forms(scheme: &str) -> Vec<Case> {
    let (other, port) = if scheme == "https" { ("http", 443) } else { ("https", 80) };
    let upper = scheme.to_ascii_uppercase();
    let bytes = |absolute: &str, host: &str| format!("GET {absolute} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let form = |absolute: String, host: &str, origin: &str| {
        passed(absolute.clone(), bytes(&absolute, host)).line(format!("GET {origin} HTTP/1.1"))
    };
    let bad = |absolute: String, host: &str| refused(absolute.clone(), bytes(&absolute, host), &[400]);
    vec![
        form(format!("{scheme}://h/a?b"), "h", "/a?b").sees("host", &["h"]),
        form(format!("{upper}://h/a"), "h", "/a"),
        form(format!("{scheme}://h"), "h", "/"),
        form(format!("{scheme}://h?"), "h", "/?"),
        form(format!("{scheme}://h/"), &format!("H:{port}"), "/"),
        form(format!("{scheme}://h:{port}/"), "h", "/"),
        form(format!("{scheme}://h/a%2Fb/../c?x=%zz&&"), "h", "/a%2Fb/../c?x=%zz&&"),
        form(format!("{scheme}://[::1]:8080/x"), "[::1]:8080", "/x"),
        bad(format!("{other}://h/"), "h"),
        bad(format!("{scheme}://a/"), "b"),
        bad(format!("{scheme}://a:1/"), "a:2"),
        bad(format!("{scheme}://u@a/"), "a"),
        bad(format!("{scheme}:///x"), "a"),
        bad("ftp://a/".into(), "a"),
        refused("absolute without Host", format!("GET {scheme}://a/ HTTP/1.1\r\n\r\n"), &[400]),
    ]
}

fn targets_that_do_not() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let bytes = (0..=0x20u8).chain(0x7f..=0x81).chain([0xc3, 0xff]).chain(*b"#<>^`");
    for byte in bytes.filter(|b| !b"\r\n".contains(b)) {
        let request = [b"GET /a".as_slice(), &[byte], b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        cases.push(refused(format!("byte {byte:#04x} in a target"), request, &[400]));
    }
    for bad in ["", "a", "*", "h:80", "/ /", "?a", "a/b", "h/", "http:/a", "http:a"] {
        cases.push(refused(format!("target {bad:?}"), target(bad), &[400]));
    }
    cases.push(refused("a fragment", target("/a#b"), &[400]));
    cases.push(refused("too long", target(&format!("/{}", "x".repeat(9000))), &[414]));
    cases.push(refused("far too long", target(&format!("/{}", "x".repeat(500_000))), &[414, 431]));
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["GET", "get", "Get", "DELETE", "PROPFIND", "M-SEARCH", "X", "!#$%&'*+-.^_`|~09az", "PATCH", "post"] {
        cases.push(passed(format!("method {method}"), with_method(method)).line(format!("{method} / HTTP/1.1")));
    }
    cases.push(passed("HEAD", with_method("HEAD")).answers_head(0).says("content-length", &["2"]));
    for method in ["", "G T", "G\tT", "GET:", "G(T)", "G\"T", "G{T", "G\0T", "G\u{7f}T", "G/T", "GÉT", "G,T", "[GET]"]
    {
        cases.push(refused(format!("method {method:?}"), with_method(method), &[400]));
    }
    cases.push(refused("CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", &[400, 405, 501]));
    cases.push(refused("CONNECT with a path", with_method("CONNECT"), &[400, 405, 501]));
    cases.push(refused("TRACE", with_method("TRACE"), &[405, 501]));
    cases.push(refused(
        "TRACE with a body",
        "TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        &[400, 405, 501],
    ));
    let asterisk = "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n";
    cases.push(passed("OPTIONS *", asterisk).line("OPTIONS * HTTP/1.1"));
    cases.push(passed("OPTIONS /x", "OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n").line("OPTIONS /x HTTP/1.1"));
    cases.push(refused("HEAD *", "HEAD * HTTP/1.1\r\nHost: h\r\n\r\n", &[400]));
    cases
}

fn versions() -> Vec<Case> {
    let version = |v: &str| format!("GET / {v}\r\nHost: h\r\n\r\n");
    let mut cases = vec![
        passed("1.1", version("HTTP/1.1")),
        passed("1.0", version("HTTP/1.0")).closed().line("GET / HTTP/1.1").says("transfer-encoding", &[]),
        passed("1.0 without Host", "GET / HTTP/1.0\r\n\r\n").closed(),
        passed("1.0 keep-alive", "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        refused("0.9", "GET /\r\n", &[400, 505]),
        refused("0.9 with a head", "GET /\r\nHost: h\r\n\r\n", &[400, 505]),
    ];
    for v in ["HTTP/2.0", "HTTP/0.9", "HTTP/9.9", "HTTP/1.2", "HTTP/3.0", "HTTP/1.9", "HTTP/2.1"] {
        cases.push(refused(v, version(v), &[400, 505]));
    }
    for v in [
        "HTTP/1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1.01",
        "http/1.1",
        "Http/1.1",
        "HTTP/1.1 ",
        " HTTP/1.1",
        "HTTP/ 1.1",
        "HTTP/1 .1",
        "HTTP /1.1",
        "HTTP/1,1",
        "HTTP/1.x",
        "HTTP/-1.1",
        "HTTP/+1.1",
        "HTTPS/1.1",
        "ICY/1.1",
        "HTTP/1.1\t",
        "HTTP/1.1\0",
        "HTTP/\u{661}.1",
        "FTP/1.1",
        "1.1",
        "HTTP/1.1x",
        "HTTP/1.1 x",
    ] {
        cases.push(refused(format!("version {v:?}"), version(v), &[400, 505]));
    }
    cases
}

fn lines() -> Vec<Case> {
    let host = "Host: h\r\n\r\n";
    vec![
        passed("one empty line before", format!("\r\nGET / HTTP/1.1\r\n{host}")),
        refused("a bare LF before", format!("\nGET / HTTP/1.1\r\n{host}"), &[400]),
        refused("white space before", format!(" GET / HTTP/1.1\r\n{host}"), &[400]),
        refused("a tab before", format!("\tGET / HTTP/1.1\r\n{host}"), &[400]),
        refused("two spaces", format!("GET  / HTTP/1.1\r\n{host}"), &[400]),
        refused("a tab between", format!("GET\t/ HTTP/1.1\r\n{host}"), &[400]),
        refused("a space before the end", format!("GET / HTTP/1.1 \r\n{host}"), &[400]),
        refused("a vertical tab", format!("GET\x0b/ HTTP/1.1\r\n{host}"), &[400]),
        refused("a bare CR", format!("GET / HTTP/1.1\r{host}"), &[400]),
        refused("a CR within", format!("GET /\r HTTP/1.1\r\n{host}"), &[400]),
        refused("a bare LF", format!("GET / HTTP/1.1\n{host}"), &[400]),
        refused("two CRs", format!("GET / HTTP/1.1\r\r\n{host}"), &[400]),
        refused("no method", format!("/ HTTP/1.1\r\n{host}"), &[400]),
        refused("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[400]),
        refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400]),
        refused("SSH", "SSH-2.0-OpenSSH_9.6\r\n\r\n", &[400]),
        refused("SMTP", "EHLO x\r\n\r\n", &[400]),
        refused("a PROXY line", format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n{host}"), &[400]),
        refused("a byte order mark", format!("\u{feff}GET / HTTP/1.1\r\n{host}"), &[400]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_lines() -> Result<()> {
    for bench in Bench::both().await? {
        let cases = [
            targets_that_pass(),
            absolute_forms(bench.scheme()),
            targets_that_do_not(),
            methods(),
            versions(),
            lines(),
        ];
        bench.play(&cases.into_iter().flatten().collect::<Vec<_>>()).await;
    }
    Ok(())
}
