//! `generic` 1; `http2` 3.5 to 4.3 and 5.5: beginnings, frames as such.

use anyhow::{Result, ensure};

use super::{
    COMPRESSION_ERROR, Check, FRAME_SIZE_ERROR, PROTOCOL_ERROR, Pass, SESAME, check, dummies, frame_of, get, head,
    join, ping, post,
};
use crate::{
    bench::Bench,
    frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, PING, PRIORITY, SETTINGS, frame},
};

/// An unknown frame.
fn unknown() -> Vec<u8> {
    frame(0x16, 0, 0, [0; 8])
}

pub(super) fn checks() -> Vec<Check> {
    let headers = || frame(HEADERS, 0, 1, head("GET"));
    let last = || frame(CONTINUATION, END_HEADERS, 1, dummies(1));
    let priority = frame(PRIORITY, 0, 1, [0, 0, 0, 0, 255]);
    vec![
        check("http2 4.1 a frame of an unknown type", join([unknown(), ping()]), Pass::Pong),
        check("http2 4.1 undefined flags", frame(PING, 0x16, 0, SESAME), Pass::Pong),
        check("http2 4.1 the reserved bit", frame(PING, 0x16, 0x8000_0000, SESAME), Pass::Pong),
        check("http2 4.2 DATA of 2^14", join([post(1), frame(DATA, END_STREAM, 1, vec![b'x'; 16_384])]), Pass::Headers),
        check(
            "http2 4.2 DATA of more than 2^14",
            join([post(1), frame(DATA, END_STREAM, 1, vec![b'x'; 16_385])]),
            Pass::Stream(&[FRAME_SIZE_ERROR]),
        ),
        check(
            "http2 4.2 HEADERS of more than 2^14",
            frame_of(1, &[&head("GET"), &dummies(200)]),
            Pass::Connection(&[FRAME_SIZE_ERROR]),
        ),
        check(
            "http2 4.3 an invalid block",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, [0x40]),
            Pass::Connection(&[COMPRESSION_ERROR]),
        ),
        check(
            "http2 4.3 PRIORITY within a block",
            join([headers(), priority, last()]),
            Pass::Connection(&[PROTOCOL_ERROR]),
        ),
        check(
            "http2 4.3 HEADERS of another stream within a block",
            join([headers(), get(3), last()]),
            Pass::Connection(&[PROTOCOL_ERROR]),
        ),
        check("http2 5.5 an unknown extension frame", join([unknown(), ping()]), Pass::Pong),
        check(
            "http2 5.5 an unknown frame within a block",
            join([frame(HEADERS, END_STREAM, 1, head("GET")), unknown()]),
            Pass::Connection(&[PROTOCOL_ERROR]),
        ),
    ]
}

/// What comes before a connection of HTTP/2 stands: the preface of either side, and what is none. How many they are.
pub(super) async fn prefaces(bench: &Bench) -> Result<usize> {
    // `generic` 1 and `http2` 3.5 ask for the same.
    for _ in 0..2 {
        let first = bench.connect_http2().await?.next().await?;
        let is_settings = first.as_ref().is_some_and(|frame| (frame.kind, frame.flags) == (SETTINGS, 0));
        ensure!(is_settings, "{first:?}");
    }
    let none = "INVALID CONNECTION PREFACE\r\n\r\n";
    if bench.scheme() == "https" {
        let mut http2 = Http2(bench.bytes(b"h2").await?);
        http2.send(none).await?;
        while http2.next().await?.is_some() {}
    } else {
        // Nor is it a request of HTTP/1.1: an answer would be frames to one and a surprise to the other.
        let mut raw = bench.connect().await?;
        raw.send(none).await?;
        let rest = raw.rest().await?;
        ensure!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }
    Ok(3)
}
