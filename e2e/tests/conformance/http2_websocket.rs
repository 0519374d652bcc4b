//! WebSocket over HTTP/2 (RFC 8441): an upgrade at the backend, a stream at the client.

use anyhow::{Context, Result, ensure};

use crate::{
    bench::Bench,
    frames::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, Http2, RST_STREAM, SETTINGS, field, frame},
    http2::{Outcome, outcome},
    recorder::{ACCEPT, Then},
};

/// Index 8 of the static table, `:status: 200`.
pub(crate) const OK: u8 = 0x88;

pub(crate) fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// An extended CONNECT, with further fields.
pub(crate) fn connect(scheme: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", scheme), (":path", path)];
    let rest = [(":authority", "h"), ("sec-websocket-version", "13"), ("sec-websocket-key", "of no use")];
    let all = pseudo.iter().chain(&rest).chain(fields);
    frame(HEADERS, END_HEADERS, 1, all.flat_map(|(name, value)| field(name, value)).collect::<Vec<_>>())
}

/// The next frame of the stream.
async fn next(http2: &mut Http2) -> Result<Frame> {
    loop {
        let frame = http2.next().await?.context("the connection has ended")?;
        if frame.stream == 1 && matches!(frame.kind, DATA | HEADERS | RST_STREAM) {
            return Ok(frame);
        }
    }
}

/// Bytes of DATA.
async fn data(http2: &mut Http2, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let part = next(http2).await?;
        ensure!(part.kind == DATA && part.flags & END_STREAM == 0, "{part:?} after {bytes:?}");
        bytes.extend_from_slice(&part.payload);
    }
    Ok(bytes)
}

fn has(head: &Frame, text: &str) -> bool {
    head.payload.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

/// The answer, or the reset.
async fn answer(bench: &Bench, request: &[u8]) -> Result<Frame> {
    let mut http2 = bench.connect_http2().await?;
    http2.send(request).await?;
    next(&mut http2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_a_tunnel() -> Result<()> {
    for bench in Bench::both().await? {
        bench.recorder.reply("/ws", switching(ACCEPT) + "hello", Then::Tunnel);
        let mut http2 = bench.connect_http2().await?;
        let settings = http2.next().await?.context("SETTINGS")?;
        let offered = settings.payload.chunks(6).any(|setting| setting == [0, 8, 0, 0, 0, 1]);
        ensure!(settings.kind == SETTINGS && offered, "it is offered: {settings:?}");
        http2.send(connect(bench.scheme(), "/ws?a", &[("sec-websocket-protocol", "chat")])).await?;
        let head = next(&mut http2).await?;
        ensure!(head.payload.contains(&OK) && head.flags & END_STREAM == 0, "{head:?}");
        ensure!(!has(&head, "upgrade") && !has(&head, "sec-websocket-accept"), "{head:?}");
        ensure!(data(&mut http2, 5).await? == b"hello");
        http2.send(frame(DATA, 0, 1, "\0\r\n\r\nx")).await?;
        ensure!(data(&mut http2, 6).await? == b"\0\r\n\r\nx");
        // Other requests go on beside it, and its end is the end of the backend's connection.
        http2.send(crate::frames::request(3)).await?;
        while http2.next().await?.context("an answer")?.stream != 3 {}
        http2.send(frame(DATA, END_STREAM, 1, "")).await?;
        let last = next(&mut http2).await?;
        ensure!((last.kind, last.payload.len(), last.flags & END_STREAM) == (DATA, 0, END_STREAM), "{last:?}");
        let record = bench.recorder.take().await?;
        ensure!(record.violations.is_empty() && record.hasty.is_empty(), "{record:?}");
        let seen = &record.seen[0];
        ensure!(seen.line == "GET /ws?a HTTP/1.1" && seen.all("upgrade") == ["websocket"], "{seen:?}");
        ensure!(seen.all("sec-websocket-version") == ["13"] && seen.all("sec-websocket-protocol") == ["chat"]);
        let keys = seen.all("sec-websocket-key");
        ensure!(keys.len() == 1 && keys[0].len() == 24, "{keys:?}");
    }
    Ok(())
}

/// What a client sends before it is told that the WebSocket is open waits until it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_too_early_waits() -> Result<()> {
    let bench = Bench::start().await?;
    bench.recorder.reply("/ws", switching(ACCEPT), Then::Tunnel);
    let mut http2 = bench.connect_http2().await?;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n";
    http2.send([connect("http", "/ws", &[]), frame(DATA, 0, 1, hidden)].concat()).await?;
    ensure!(next(&mut http2).await?.payload.contains(&OK));
    ensure!(data(&mut http2, hidden.len()).await? == hidden.as_bytes());
    let record = bench.recorder.take().await?;
    ensure!(record.hasty.is_empty() && record.seen.len() == 1, "{record:?}");
    Ok(())
}

/// A backend that does not open the WebSocket: its refusal is passed on, anything else is no answer to what was asked,
/// and no byte is tunnelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_is_not_opened_is_none() -> Result<()> {
    let bench = Bench::start().await?;
    let plain = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
    for (reply, status) in [
        (plain("200 OK"), "502"),
        (plain("403 Forbidden"), "403"),
        (plain("426 Upgrade Required"), "426"),
        (switching("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "502"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "502"),
    ] {
        bench.recorder.reply("/ws", &reply, Then::Keep);
        let head = answer(&bench, &connect("http", "/ws", &[])).await?;
        let digits: Vec<u8> = huffman_digits(status);
        ensure!(head.kind == HEADERS && (has(&head, status) || contains(&head, &digits)), "{status}: {head:?}");
    }
    let metrics = bench.deployment.data_plane()?.metrics().await?;
    ensure!(metrics.sum("balancer_backend_ejected", "") == 0.0, "a client must not get a backend ejected");
    bench.serves().await
}

fn contains(head: &Frame, bytes: &[u8]) -> bool {
    head.payload.windows(bytes.len()).any(|part| part == bytes)
}

/// Three digits in Huffman code (RFC 7541 appendix B), padded.
fn huffman_digits(digits: &str) -> Vec<u8> {
    // 0 to 2 have 5 bits, the others 6.
    let codes = digits.bytes().map(|digit| match digit {
        b'0'..=b'2' => (u32::from(digit - b'0'), 5),
        digit => (u32::from(digit - b'3') + 0x19, 6),
    });
    let (bits, count) = codes.fold((0, 0), |(bits, count), (code, length)| (bits << length | code, count + length));
    let padding = (8 - count % 8) % 8;
    let padded = bits << padding | ((1 << padding) - 1);
    padded.to_be_bytes()[4 - (count + padding) / 8..].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_ask_rightly_is_refused() -> Result<()> {
    let bench = Bench::start().await?;
    for (name, request) in [
        ("a length", connect("http", "/ws", &[("content-length", "5")])),
        ("a length of 0", connect("http", "/ws", &[("content-length", "0")])),
        ("another host", connect("http", "/ws", &[("host", "other")])),
        ("no path", connect("http", "", &[])),
        ("a path with a space", connect("http", "/a b", &[])),
        ("a foreign scheme", connect("ws", "/ws", &[])),
    ] {
        let mut http2 = bench.connect_http2().await?;
        http2.offer(request).await;
        ensure!(outcome(&mut http2).await? != Outcome::Served, "{name}");
    }
    ensure!(bench.recorder.take().await?.seen.is_empty());
    bench.serves().await
}
