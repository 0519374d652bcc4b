//! HTTP/2 from clients, chapter by chapter of RFC 9113 and RFC 7541: what must be taken, and what must not.

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PING, PRIORITY, PUSH_PROMISE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, get, request, request_with,
    },
    http2::{
        Case,
        Outcome::{Connection, Refused, Served},
        play,
    },
};

const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;

fn setting(id: u8, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, [&[0, id], &value.to_be_bytes()[..]].concat())
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, [0, 0, 0, 8])
}

/// The fields of a request of this method.
fn head(method: &str) -> Vec<u8> {
    [field(":method", method), b"\x84\x86".to_vec(), field(":authority", "h")].concat()
}

/// HEADERS that leave the stream open.
fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, head("POST"))
}

fn whole(block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, block)
}

fn then<const N: usize>(parts: [Vec<u8>; N]) -> Vec<u8> {
    parts.concat()
}

/// What any client may do (RFC 9113 sections 4 to 6).
fn allowed() -> Vec<Case> {
    let (first, rest) = (get()[..3].to_vec(), get()[3..].to_vec());
    let middle = rest.len() / 2;
    let padded = [&[5], &get()[..], &[0; 5]].concat();
    let prioritized = [&[0, 0, 0, 0, 15], &get()[..]].concat();
    let both = [&[5, 0, 0, 0, 0, 15], &get()[..], &[0; 5]].concat();
    let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, field("x-t", "1"));
    vec![
        ("HEAD", whole(&head("HEAD")), Served),
        ("OPTIONS", whole(&head("OPTIONS")), Served),
        ("an unknown method", whole(&head("PROPFIND")), Served),
        ("POST", then([open(1), frame(DATA, END_STREAM, 1, "hi")]), Served),
        (
            "POST in many frames",
            then([open(1), frame(DATA, 0, 1, "h").repeat(50), frame(DATA, END_STREAM, 1, "i")]),
            Served,
        ),
        (
            "POST with an empty last frame",
            then([open(1), frame(DATA, 0, 1, "h"), frame(DATA, END_STREAM, 1, "")]),
            Served,
        ),
        ("POST with padding", then([open(1), frame(DATA, PADDED | END_STREAM, 1, [3, b'h', 0, 0, 0])]), Served),
        ("POST of padding alone", then([open(1), frame(DATA, PADDED | END_STREAM, 1, [0])]), Served),
        ("POST with trailers", then([open(1), frame(DATA, 0, 1, "hi"), trailers.clone()]), Served),
        ("POST with trailers alone", then([open(1), trailers]), Served),
        ("a full frame of DATA", then([open(1), frame(DATA, END_STREAM, 1, vec![b'x'; 16_384])]), Served),
        ("HEADERS with padding", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, padded), Served),
        ("HEADERS with a priority", frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, prioritized), Served),
        ("HEADERS with both", frame(HEADERS, END_STREAM | END_HEADERS | PADDED | PRIORITIZED, 1, both), Served),
        (
            "CONTINUATION",
            then([frame(HEADERS, END_STREAM, 1, &first), frame(CONTINUATION, END_HEADERS, 1, &rest)]),
            Served,
        ),
        (
            "CONTINUATION twice",
            then([
                frame(HEADERS, END_STREAM, 1, &first),
                frame(CONTINUATION, 0, 1, &rest[..middle]),
                frame(CONTINUATION, END_HEADERS, 1, &rest[middle..]),
            ]),
            Served,
        ),
        (
            "an empty HEADERS and CONTINUATION",
            then([frame(HEADERS, END_STREAM, 1, ""), frame(CONTINUATION, END_HEADERS, 1, get())]),
            Served,
        ),
        ("flags nobody has defined", frame(HEADERS, END_STREAM | END_HEADERS | 0xc2, 1, get()), Served),
        ("flags on PING", then([frame(PING, 0xfe, 0, [0; 8]), request(1)]), Served),
        ("the reserved bit of a stream", frame(HEADERS, END_STREAM | END_HEADERS, 0x8000_0001, get()), Served),
        ("a PING that is an answer", then([frame(PING, ACK, 0, [0; 8]), request(1)]), Served),
        ("the reserved bit of WINDOW_UPDATE", then([frame(WINDOW_UPDATE, 0, 0, [0x80, 0, 0, 1]), request(1)]), Served),
        (
            "a window of a stream, and its request",
            then([open(1), window(1, 5), frame(DATA, END_STREAM, 1, "")]),
            Served,
        ),
        ("a window of a closed stream", then([open(1), reset(1), window(1, 1), request(3)]), Served),
        ("RST_STREAM of a closed stream", then([open(1), reset(1), reset(1), request(3)]), Served),
        (
            "PRIORITY of a closed stream",
            then([open(1), reset(1), frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1]), request(3)]),
            Served,
        ),
        ("RST_STREAM with an unknown code", then([open(1), frame(RST_STREAM, 0, 1, [0xff; 4]), request(3)]), Served),
        ("streams with gaps", request(101), Served),
        ("the largest stream", request(0x7fff_ffff), Served),
        ("an unknown frame on a stream", then([frame(0x20, 0, 77, "xyz"), request(1)]), Served),
        (
            "unknown frames between DATA",
            then([open(1), frame(0x20, 0, 1, "x"), frame(DATA, END_STREAM, 1, "")]),
            Served,
        ),
        (
            "all settings",
            then([
                setting(1, 0),
                setting(2, 0),
                setting(3, 0),
                setting(4, 65_535),
                setting(5, 16_384),
                setting(6, 0),
                request(1),
            ]),
            Served,
        ),
        ("the largest settings", then([setting(4, 0x7fff_ffff), setting(5, 0xff_ffff), request(1)]), Served),
        ("a setting twice", then([setting(4, 1), setting(4, 65_535), request(1)]), Served),
        ("a server does not push anyway", then([setting(2, 1), request(1)]), Served),
    ]
}

/// Which frame may come when (sections 5.1, 6).
fn states() -> Vec<Case> {
    let data = |stream| frame(DATA, 0, stream, "x");
    let priority = |stream| frame(PRIORITY, 0, stream, [0, 0, 0, 0, 1]);
    vec![
        ("CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 3, get()), Connection),
        (
            "CONTINUATION after the end of HEADERS",
            then([open(1), frame(CONTINUATION, END_HEADERS, 1, get())]),
            Connection,
        ),
        (
            "CONTINUATION after the end of CONTINUATION",
            then([
                frame(HEADERS, 0, 1, get()),
                frame(CONTINUATION, END_HEADERS, 1, ""),
                frame(CONTINUATION, END_HEADERS, 1, ""),
            ]),
            Connection,
        ),
        ("CONTINUATION after DATA", then([open(1), data(1), frame(CONTINUATION, END_HEADERS, 1, "")]), Connection),
        (
            "CONTINUATION of another stream",
            then([frame(HEADERS, 0, 1, get()), frame(CONTINUATION, END_HEADERS, 3, "")]),
            Connection,
        ),
        ("PRIORITY between", then([frame(HEADERS, 0, 1, get()), priority(1)]), Connection),
        ("PING between", then([frame(HEADERS, 0, 1, get()), frame(PING, 0, 0, [0; 8])]), Connection),
        ("SETTINGS between", then([frame(HEADERS, 0, 1, get()), frame(SETTINGS, 0, 0, "")]), Connection),
        ("RST_STREAM between", then([frame(HEADERS, 0, 1, get()), reset(1)]), Connection),
        ("WINDOW_UPDATE between", then([frame(HEADERS, 0, 1, get()), window(0, 1)]), Connection),
        ("GOAWAY between", then([frame(HEADERS, 0, 1, get()), frame(GOAWAY, 0, 0, [0; 8])]), Connection),
        ("an unknown frame between", then([frame(HEADERS, 0, 1, get()), frame(0x20, 0, 1, "x")]), Connection),
        ("HEADERS between", then([frame(HEADERS, 0, 1, get()), frame(HEADERS, END_HEADERS, 1, get())]), Connection),
        (
            "PUSH_PROMISE between",
            then([frame(HEADERS, 0, 1, get()), frame(PUSH_PROMISE, 0, 1, [0, 0, 0, 2])]),
            Connection,
        ),
        ("DATA after RST_STREAM", then([open(1), reset(1), data(1), data(1)]), Refused),
        ("HEADERS after RST_STREAM", then([open(1), reset(1), open(1)]), Refused),
        ("DATA after the end", then([frame(HEADERS, END_HEADERS | END_STREAM, 1, head("POST")), data(1)]), Refused),
        (
            "HEADERS after trailers",
            then([open(1), frame(HEADERS, END_STREAM | END_HEADERS, 1, field("x", "y")), open(1)]),
            Refused,
        ),
        ("a lower stream", then([open(5), open(3)]), Connection),
        ("an even stream after an odd one", then([open(1), open(2)]), Connection),
        ("PRIORITY on stream 0", priority(0), Connection),
        (
            "CONTINUATION with HEADERS on stream 0",
            then([frame(HEADERS, 0, 0, get()), frame(CONTINUATION, END_HEADERS, 0, "")]),
            Connection,
        ),
        ("PUSH_PROMISE on stream 0", frame(PUSH_PROMISE, END_HEADERS, 0, [0, 0, 0, 2]), Connection),
        ("WINDOW_UPDATE on an idle stream above", then([open(1), window(3, 1)]), Connection),
        ("RST_STREAM on an idle stream above", then([open(1), reset(3)]), Connection),
        ("DATA on an idle stream above", then([open(1), data(3)]), Connection),
        (
            "HEADERS that depend on themselves",
            frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, [&[0, 0, 0, 1, 15], &get()[..]].concat()),
            Refused,
        ),
        ("PRIORITY that depends on itself", then([open(1), frame(PRIORITY, 0, 1, [0, 0, 0, 1, 15])]), Refused),
    ]
}

/// Lengths and values (sections 4.2, 6).
fn sizes() -> Vec<Case> {
    let too_long = |kind, stream| frame(kind, 0, stream, vec![0; 16_385]);
    vec![
        ("DATA too large", then([open(1), too_long(DATA, 1)]), Connection),
        ("HEADERS too large", too_long(HEADERS, 1), Connection),
        ("CONTINUATION too large", then([frame(HEADERS, 0, 1, get()), too_long(CONTINUATION, 1)]), Connection),
        ("SETTINGS too large", frame(SETTINGS, 0, 0, vec![0; 16_386]), Connection),
        ("GOAWAY too large", too_long(GOAWAY, 0), Connection),
        ("an unknown frame too large", too_long(0x20, 0), Connection),
        ("DATA of padding without its length", then([open(1), frame(DATA, PADDED, 1, "")]), Connection),
        ("DATA padded by its own length", then([open(1), frame(DATA, PADDED, 1, [2, 0])]), Connection),
        ("HEADERS of padding without its length", frame(HEADERS, END_HEADERS | PADDED, 1, ""), Connection),
        ("HEADERS padded too far", frame(HEADERS, END_HEADERS | PADDED, 1, [&[200], &get()[..]].concat()), Connection),
        ("HEADERS of half a priority", frame(HEADERS, END_HEADERS | PRIORITIZED, 1, [0; 4]), Connection),
        ("PING of nothing", frame(PING, 0, 0, ""), Connection),
        ("PING of 9 bytes", frame(PING, 0, 0, [0; 9]), Connection),
        ("PRIORITY of 6 bytes", frame(PRIORITY, 0, 1, [0; 6]), Refused),
        ("RST_STREAM of nothing", then([open(1), frame(RST_STREAM, 0, 1, "")]), Connection),
        ("RST_STREAM of 5 bytes", then([open(1), frame(RST_STREAM, 0, 1, [0; 5])]), Connection),
        ("SETTINGS of 1 byte", frame(SETTINGS, 0, 0, [0]), Connection),
        ("SETTINGS of 7 bytes", frame(SETTINGS, 0, 0, [0, 99, 0, 0, 0, 0, 0]), Connection),
        ("SETTINGS ACK of 1 byte", frame(SETTINGS, ACK, 0, [0]), Connection),
        ("SETTINGS ACK on a stream", frame(SETTINGS, ACK, 1, ""), Connection),
        ("GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, [0; 7]), Connection),
        ("WINDOW_UPDATE of nothing", frame(WINDOW_UPDATE, 0, 0, ""), Connection),
        ("WINDOW_UPDATE of 5 bytes", frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 0, 1]), Connection),
        ("WINDOW_UPDATE of a stream, 3 bytes", then([open(1), frame(WINDOW_UPDATE, 0, 1, [0, 0, 1])]), Connection),
        ("a window over the top in two steps", then([window(0, 0x7fff_0000 - 1), window(0, 0x10000)]), Connection),
        (
            "a stream's window over the top in two steps",
            then([open(1), window(1, 0x7fff_0000 - 1), window(1, 0x10000)]),
            Refused,
        ),
        (
            "a stream's window over the top by SETTINGS",
            then([open(1), window(1, 0x7fff_0000), setting(4, 0x7fff_ffff)]),
            Connection,
        ),
        ("ENABLE_PUSH 2^32-1", setting(2, u32::MAX), Connection),
        ("INITIAL_WINDOW_SIZE 2^32-1", setting(4, u32::MAX), Connection),
        ("MAX_FRAME_SIZE 0", setting(5, 0), Connection),
        ("MAX_FRAME_SIZE 2^32-1", setting(5, u32::MAX), Connection),
        // 64 KiB are the window of a stream, 256 KiB that of the connection: what is said beyond is not taken.
        ("more DATA than the window", then([open(1), frame(DATA, 0, 1, vec![b'x'; 16_384]).repeat(40)]), Refused),
    ]
}

/// Blocks of fields (RFC 7541).
fn blocks() -> Vec<Case> {
    let with = |rest: &[u8]| whole(&[&get()[..], rest].concat());
    vec![
        ("a name of the static table", with(b"\x00\x00"), Refused),
        ("a literal with indexing", with(b"\x40\x01a\x01b"), Served),
        ("a literal without indexing", with(b"\x00\x01a\x01b"), Served),
        ("a literal never indexed", with(b"\x10\x01a\x01b"), Served),
        ("an indexed name", with(b"\x53\x03*/*"), Served),
        ("an indexed name without indexing", with(b"\x0f\x04\x03*/*"), Served),
        ("an entry used again", with(b"\x40\x01a\x01b\xbe\xbe\xbe"), Served),
        (
            "an entry of the request before",
            then([with(b"\x40\x01a\x01b"), frame(HEADERS, END_STREAM | END_HEADERS, 3, [get(), vec![0xbe]].concat())]),
            Served,
        ),
        ("an entry that was pushed out", with(b"\x40\x01a\x01b\x20\xbe"), Connection),
        ("Huffman code", with(&[b"\x00\x01a\x83".as_slice(), &[0x68, 0x0f, 0x7f]].concat()), Served),
        ("Huffman padding of zeros", with(&[b"\x00\x01a\x83".as_slice(), &[0x68, 0x0f, 0x00]].concat()), Connection),
        ("Huffman padding of a byte", with(b"\x00\x01a\x81\xff"), Connection),
        ("Huffman with the end of string", with(b"\x00\x01a\x84\xff\xff\xff\xfc"), Connection),
        ("a table of size 0", whole(&[b"\x20".as_slice(), &get()].concat()), Served),
        ("a table of size 4096", whole(&[b"\x3f\xe1\x1f".as_slice(), &get()].concat()), Served),
        ("two sizes of the table", whole(&[b"\x20\x3f\xe1\x1f".as_slice(), &get()].concat()), Served),
        ("a table of size 4097", whole(&[b"\x3f\xe2\x1f".as_slice(), &get()].concat()), Connection),
        ("a size of the table at the end", with(b"\x20"), Connection),
        ("index 62 of an empty table", with(b"\xbe"), Connection),
        ("an integer over 2^32", with(b"\xff\xff\xff\xff\xff\xff\x7f"), Connection),
        ("an integer cut off", with(b"\xff"), Connection),
        ("a name cut off", with(b"\x00\x05ab"), Connection),
        ("a value that is missing", with(b"\x00\x01a"), Connection),
        ("a name over 2^31", with(b"\x00\x7f\xff\xff\xff\xff\x0f"), Connection),
    ]
}

/// Requests (section 8).
fn messages() -> Vec<Case> {
    let trailer = |name: &str| {
        then([open(1), frame(DATA, 0, 1, "hi"), frame(HEADERS, END_STREAM | END_HEADERS, 1, field(name, "x"))])
    };
    let length = |length: &str, frames: &[u8]| {
        then([
            frame(HEADERS, END_HEADERS, 1, [head("POST"), field("content-length", length)].concat()),
            frames.to_vec(),
        ])
    };
    let data = |end: u8, bytes: &str| frame(DATA, end, 1, bytes);
    vec![
        // It is dropped before it can be seen; it reaches nobody.
        ("a pseudo field among the trailers", trailer(":path"), Served),
        (
            "another scheme",
            whole(&[b"\x82\x84".to_vec(), field(":scheme", "ftp"), field(":authority", "h")].concat()),
            Refused,
        ),
        ("a status among the trailers", trailer(":status"), Refused),
        ("an upper-case trailer", trailer("X-T"), Refused),
        ("a trailer of the connection", trailer("connection"), Refused),
        ("a transfer coding as a trailer", trailer("transfer-encoding"), Refused),
        ("a trailer with a space", trailer("x t"), Refused),
        ("a length without a body", request_with(1, &[("content-length", "5")]), Refused),
        ("a length in two frames", length("4", &[data(0, "hi"), data(1, "ho")].concat()), Served),
        ("too long in the second frame", length("3", &[data(0, "hi"), data(1, "ho")].concat()), Refused),
        ("too short in two frames", length("5", &[data(0, "hi"), data(1, "ho")].concat()), Refused),
        ("a length of +2", length("+2", &data(1, "hi")), Refused),
        ("a length of 2,2", length("2,2", &data(1, "hi")), Refused),
        ("a length over 2^64", length("18446744073709551618", &data(1, "hi")), Refused),
        ("a length of nothing", length("", &data(1, "hi")), Refused),
        ("a length of 0 and no body", length("0", &data(1, "")), Served),
        ("a length of 0 and a body", length("0", &data(1, "x")), Refused),
        ("a pseudo field twice: method", whole(&[&get()[..], b"\x82"].concat()), Refused),
        ("a pseudo field twice: scheme", whole(&[b"\x86".as_slice(), &get()].concat()), Refused),
        ("a pseudo field twice: authority", whole(&[field(":authority", "h"), get()].concat()), Refused),
        ("a field before the pseudo fields", whole(&[field("x", "y"), get()].concat()), Refused),
        (
            "a field among the pseudo fields",
            whole(&[b"\x82".to_vec(), field("x", "y"), b"\x84\x86".to_vec(), field(":authority", "h")].concat()),
            Refused,
        ),
        (
            "an empty method",
            whole(&[field(":method", ""), b"\x84\x86".to_vec(), field(":authority", "h")].concat()),
            Refused,
        ),
        ("an empty authority", whole(&[b"\x82\x84\x86".to_vec(), field(":authority", "")].concat()), Refused),
        ("user information", whole(&[b"\x82\x84\x86".to_vec(), field(":authority", "u@h")].concat()), Refused),
        (
            "a fragment in the authority",
            whole(&[b"\x82\x84\x86".to_vec(), field(":authority", "h#f")].concat()),
            Refused,
        ),
        (
            "an empty scheme",
            whole(&[b"\x82\x84".to_vec(), field(":scheme", ""), field(":authority", "h")].concat()),
            Refused,
        ),
        ("no fields at all", whole(b""), Refused),
        ("white space before a value", request_with(1, &[("x", " y")]), Served),
        ("a value with CR", request_with(1, &[("x", "a\rb")]), Refused),
        ("a value with DEL", request_with(1, &[("x", "a\u{7f}b")]), Refused),
        ("a hundred fields", whole(&[get(), field("x", "y").repeat(95)].concat()), Served),
        ("two hundred fields", whole(&[get(), field("x", "y").repeat(200)].concat()), Refused),
        ("host as it is in authority", request_with(1, &[("host", "H")]), Served),
        ("host twice", request_with(1, &[("host", "h"), ("host", "h")]), Refused),
        ("te in two fields", request_with(1, &[("te", "trailers"), ("te", "gzip")]), Refused),
        ("HTTP2-Settings", request_with(1, &[("http2-settings", "AAMAAABk")]), Served),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chapter_by_chapter() -> Result<()> {
    let cases: Vec<Case> = [allowed(), states(), sizes(), blocks(), messages()].into_iter().flatten().collect();
    for bench in Bench::both().await? {
        play(&bench, &cases).await;
        bench.serves().await?;
    }
    Ok(())
}

/// The next frame of a kind.
async fn next(http2: &mut Http2, kind: u8) -> Result<Frame> {
    loop {
        let frame = http2.next().await?;
        let frame = frame.ok_or_else(|| anyhow::anyhow!("the connection ends before frame {kind}"))?;
        if frame.kind == kind {
            return Ok(frame);
        }
    }
}

/// Sections 3.4, 6.5.3, 6.7: SETTINGS come first and are acknowledged, a PING is answered with what it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_answered_is() -> Result<()> {
    for bench in Bench::both().await? {
        let mut http2 = bench.connect_http2().await?;
        let first = http2.next().await?;
        ensure!(
            first.as_ref().is_some_and(|first| (first.kind, first.flags, first.stream) == (SETTINGS, 0, 0)),
            "{first:?}"
        );
        ensure!(next(&mut http2, SETTINGS).await?.flags == ACK);
        http2.send(then([frame(PING, 0, 0, "sesame12"), setting(4, 1)])).await?;
        let pong = next(&mut http2, PING).await?;
        ensure!((pong.flags, pong.payload.as_slice()) == (ACK, b"sesame12"), "{pong:?}");
        ensure!(next(&mut http2, SETTINGS).await?.flags == ACK);
    }
    Ok(())
}

/// Section 6.9: no byte beyond the window, also where SETTINGS make it smaller than nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_kept() -> Result<()> {
    for bench in Bench::both().await? {
        let mut http2 = bench.connect_http2().await?;
        http2.send(then([setting(4, 1), request(1)])).await?;
        ensure!(next(&mut http2, DATA).await?.payload == b"o");
        // One byte was sent of a window that is now 0: another byte of window only makes up for that.
        http2.send(then([setting(4, 0), window(1, 1), frame(PING, 0, 0, [1; 8])])).await?;
        let between = http2_until_pong(&mut http2).await?;
        ensure!(between.iter().all(|frame| frame.kind != DATA), "{between:?}");
        http2.send(window(1, 1)).await?;
        let last = next(&mut http2, DATA).await?;
        ensure!((last.payload.as_slice(), last.flags & END_STREAM) == (b"k", END_STREAM), "{last:?}");
        // A window that is there before the request is one.
        http2.send(then([setting(4, 2), request(3)])).await?;
        ensure!(next(&mut http2, DATA).await?.payload == b"ok");
    }
    Ok(())
}

async fn http2_until_pong(http2: &mut Http2) -> Result<Vec<Frame>> {
    let mut frames = Vec::new();
    while let Some(frame) = http2.next().await? {
        if frame.kind == PING {
            break;
        }
        frames.push(frame);
    }
    Ok(frames)
}

/// Section 5.1.2: streams beyond those announced are refused, and the others served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_announced_are_refused() -> Result<()> {
    for bench in Bench::both().await? {
        let mut http2 = bench.connect_http2().await?;
        let announced = http2.next().await?.map(|settings| settings.payload).unwrap_or_default();
        ensure!(announced.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 128]), "{announced:?}");
        http2.send((0..129).flat_map(|number| open(2 * number + 1)).collect::<Vec<_>>()).await?;
        let refused = next(&mut http2, RST_STREAM).await?;
        // REFUSED_STREAM, or PROTOCOL_ERROR.
        ensure!((refused.stream, matches!(refused.payload[3], 1 | 7)) == (257, true), "{refused:?}");
        http2.send(frame(DATA, END_STREAM, 1, "")).await?;
        ensure!(next(&mut http2, HEADERS).await?.payload.starts_with(&[0x88]));
    }
    Ok(())
}

/// Section 6.8: after GOAWAY of a client its requests are finished.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_before_goaway_is_answered() -> Result<()> {
    for bench in Bench::both().await? {
        let mut http2 = bench.connect_http2().await?;
        http2.send(then([request(1), frame(GOAWAY, 0, 0, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])])).await?;
        ensure!(next(&mut http2, DATA).await?.payload == b"ok");
    }
    Ok(())
}

/// What the HTTP library drops before anybody can refuse it: a fragment in the path, pseudo fields among the trailers.
/// No byte of it is on a backend's wire, and the rest of the request is as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_reaches_no_backend() -> Result<()> {
    for bench in Bench::both().await? {
        let path =
            |path: &str| [field(":method", "POST"), b"\x86".to_vec(), field(":path", path), field(":authority", "h")];
        for (at, line) in [("/a#b", "/a"), ("/a?b#c?d", "/a?b"), ("/#", "/"), ("/a%23b", "/a%23b")] {
            let mut http2 = bench.connect_http2().await?;
            let fields = [path(at).concat(), field("trailer", "x-t, path")].concat();
            let trailers =
                [field(":path", "/c"), field(":method", "GET"), field(":authority", "other"), field("x-t", "1")]
                    .concat();
            let last = frame(HEADERS, END_STREAM | END_HEADERS, 1, trailers);
            http2.send(then([frame(HEADERS, END_HEADERS, 1, fields), frame(DATA, 0, 1, "hi"), last])).await?;
            next(&mut http2, HEADERS).await?;
            let record = bench.recorder.take().await?;
            ensure!(record.violations.is_empty() && record.seen.len() == 1, "{record:?}");
            let seen = &record.seen[0];
            ensure!(seen.line == format!("POST {line} HTTP/1.1") && seen.all("host") == ["h"], "{seen:?}");
            ensure!(seen.body == b"hi" && seen.trailers == [("x-t".to_owned(), "1".to_owned())], "{seen:?}");
        }
    }
    Ok(())
}
