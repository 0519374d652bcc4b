//! Host (RFC 9112 section 3.2, RFC 9110 section 7.2).

use anyhow::Result;

use crate::{
    bench::Bench,
    case::{Case, passed, refused},
};

fn with_host(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn good() -> impl Iterator<Item = Case> {
    let hosts = [
        "h",
        "H",
        "a.b.c",
        "a.b.c.",
        "h:80",
        "h:8080",
        "h:",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1]:65535",
        "xn--bcher-kva.example",
        "a-b_c~d",
        "h%20i",
        "a!$&'()*+,;=b",
    ];
    hosts.into_iter().map(|host| {
        passed(format!("host {host}"), with_host(host)).sees("host", &[host]).sees("x-forwarded-host", &[host])
    })
}

fn bad() -> impl Iterator<Item = Case> {
    let hosts = [
        "",
        " ",
        "a:b",
        "u@a",
        "u:p@a",
        "a#b",
        "a/b",
        "a?b",
        "a\\b",
        "a b",
        "a\tb",
        "a,b c",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:x",
        "[x]",
        "[]",
        "a:65536",
        "a:999999999999",
        "a:-1",
        "a:+1",
        "a:80:80",
        "a:80 ",
        "a\u{7f}",
        "é",
        "a\"b",
        "a<b",
        "a^b",
        "a`b",
        "a{b",
        "a|b",
        "a%2",
        "a%zz",
        "http://a",
        "[::1%eth0]",
        "a[b",
        "a]b",
        ":80",
        "a:1 2",
    ];
    // A space at the end is white space around the value, no part of it.
    let hosts = hosts.into_iter().filter(|h| *h != "a:80 ");
    hosts.map(|host| refused(format!("host {host:?}"), with_host(host), &[400]))
}

fn numbers() -> Vec<Case> {
    let request = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n");
    vec![
        refused("none", request(""), &[400]),
        refused("none, other fields", request("X-Host: h\r\n"), &[400]),
        refused("two", request("Host: h\r\nHost: h\r\n"), &[400]),
        refused("two, different", request("Host: a\r\nHost: b\r\n"), &[400]),
        refused("two, in other case", request("Host: a\r\nhOST: b\r\n"), &[400]),
        refused("two, the second empty", request("Host: a\r\nHost:\r\n"), &[400]),
        refused("two, apart", request("Host: a\r\nX: y\r\nHost: a\r\n"), &[400]),
        refused("two in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        refused("invalid in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", &[400]),
        refused("space before the colon", request("Host : h\r\n"), &[400]),
        refused("a space first", request(" Host: h\r\n"), &[400]),
        passed("lower case", request("host: h\r\n")).sees("host", &["h"]),
        passed("upper case", request("HOST: h\r\n")).sees("host", &["h"]),
        passed("no space", request("Host:h\r\n")).sees("host", &["h"]),
        passed("white space around", request("Host: \t h \t \r\n")).sees("host", &["h"]),
        passed("Connection cannot take it", request("Host: h\r\nConnection: Host\r\n")).sees("host", &["h"]),
        passed("X-Forwarded-Host is ours", request("Host: h\r\nX-Forwarded-Host: evil\r\n"))
            .sees("x-forwarded-host", &["h"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts() -> Result<()> {
    let cases: Vec<_> = good().chain(bad()).chain(numbers()).collect();
    for bench in Bench::both().await? {
        bench.play(&cases).await;
    }
    Ok(())
}
