//! Backends that send what is not HTTP/2.

use std::rc::Rc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A frame on the stream of a connection's first request, or on the connection itself.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// HEADERS, with fields that are in no table and not compressed.
fn headers(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        for text in [name, value] {
            let literal = if text == name { vec![0] } else { Vec::new() };
            block.extend([&literal[..], &[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        }
    }
    frame(1, flags, 1, &block)
}

/// What is read of an answer that begins with `fine` and goes on with `bad`; the error at its end.
async fn broken_answer(fine: &[u8], bad: &[u8]) -> (String, std::io::Error) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (pool, to) = (Rc::new(Http2Pool::default()), h2c(listener.local_addr().unwrap()));
    let settings = frame(4, 0, 0, &[]);
    let accepted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&settings).await.unwrap();
        stream
    };
    let (lease, mut server) = tokio::join!(lease(&pool, &to), accepted);
    let mut stream = Translated::new(pool, to, lease);
    write(&mut stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut asked = vec![0; 4096];
    while !asked.windows(4).any(|bytes| bytes[..2] == [1, 5]) {
        assert!(within(server.read(&mut asked)).await.unwrap() > 0, "no request came");
    }
    server.write_all(&[fine, bad].concat()).await.unwrap();
    let mut read = Vec::new();
    let error = within(stream.read_to_end(&mut read)).await.unwrap_err();
    (String::from_utf8(read).unwrap(), error)
}

#[tokio::test]
async fn what_is_no_answer_of_http2_does_not_become_one_of_http1() {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    local(async {
        let ok = (":status", "200");
        for bad in [
            headers(END_HEADERS | END_STREAM, &[ok, ("connection", "close")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("transfer-encoding", "chunked")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("X-Upper", "1")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("x-a", "b\r\nx-c: d")]),
            headers(END_HEADERS | END_STREAM, &[("x-a", "no status")]),
            headers(END_HEADERS | END_STREAM, &[(":status", "2oo")]),
            headers(END_HEADERS, &[(":status", "101")]),
            frame(0, 0, 1, b"data before a head"),
            frame(5, END_HEADERS, 1, b"\0\0\0\x02a promise"),
            frame(3, 0, 1, &[0, 0, 0, 2]),
        ] {
            let (read, error) = broken_answer(&[], &bad).await;
            assert_eq!(read, "", "{error} after {bad:?}");
        }
        let fine = headers(END_HEADERS, &[ok, ("content-length", "5")]);
        for bad in
            [frame(0, END_STREAM, 1, b"abc"), frame(0, END_STREAM, 1, b"abcdefg"), frame(1, END_HEADERS, 1, b"\xff")]
        {
            let (read, error) = broken_answer(&fine, &bad).await;
            assert!(read.contains("content-length: 5\r\n") && !read.ends_with("abcde"), "{read:?}, {error}");
        }
    })
    .await;
}
