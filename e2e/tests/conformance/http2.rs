//! HTTP/2 from clients: what RFC 9113 forbids is refused and reaches no backend.

use anyhow::{Context, Result, ensure};

use crate::{
    bench::Bench,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PING, PRIORITY, PUSH_PROMISE,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame, get, request, request_with,
    },
};

/// How the server takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The connection ends: GOAWAY, or just closed.
    Connection,
    /// The stream, or the connection, ends, or the answer is an error.
    Refused,
    /// 200.
    Served,
}

use Outcome::{Connection, Refused, Served};

pub(crate) type Case = (&'static str, Vec<u8>, Outcome);

fn get_with(fields: &[(&str, &str)]) -> Vec<u8> {
    request_with(1, fields)
}

/// A request of these fields alone.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, END_STREAM | END_HEADERS, 1, block)
}

fn frames() -> Vec<Case> {
    let setting = |id: u8, value: u32| frame(SETTINGS, 0, 0, [&[0, id], &value.to_be_bytes()[..]].concat());
    let window = |stream, by: u32| frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes());
    let open = frame(HEADERS, END_HEADERS, 1, get());
    let then = |rest: Vec<u8>| [open.clone(), rest].concat();
    vec![
        ("a request", request(1), Served),
        ("an unknown frame first", [frame(0xfa, 0xff, 0, "xyz"), request(1)].concat(), Served),
        ("PRIORITY first", [frame(PRIORITY, 0, 3, [0, 0, 0, 0, 1]), request(1)].concat(), Served),
        ("PING", [frame(PING, 0, 0, "12345678"), request(1)].concat(), Served),
        ("an unknown setting", [setting(99, 1), request(1)].concat(), Served),
        ("DATA on stream 0", frame(DATA, 0, 0, "x"), Connection),
        ("HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, get()), Connection),
        ("RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, [0; 4]), Connection),
        ("CONTINUATION on stream 0", frame(CONTINUATION, END_HEADERS, 0, get()), Connection),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, ""), Connection),
        ("PING on a stream", frame(PING, 0, 1, [0; 8]), Connection),
        ("GOAWAY on a stream", frame(GOAWAY, 0, 1, [0; 8]), Connection),
        ("an even stream", request(2), Connection),
        ("DATA on an idle stream", frame(DATA, 0, 1, "x"), Connection),
        ("RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, [0; 4]), Connection),
        ("WINDOW_UPDATE on an idle stream", window(1, 1), Connection),
        ("a stream older than the last", [request(5), request(3)].concat(), Refused),
        ("CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, get()), Connection),
        (
            "DATA between HEADERS and CONTINUATION",
            [frame(HEADERS, 0, 1, get()), frame(DATA, 0, 1, "x")].concat(),
            Connection,
        ),
        ("HEADERS of another stream between", [frame(HEADERS, 0, 1, get()), request(3)].concat(), Connection),
        ("PING of 7 bytes", frame(PING, 0, 0, [0; 7]), Connection),
        ("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, [0; 4]), Refused),
        ("RST_STREAM of 3 bytes", then(frame(RST_STREAM, 0, 1, [0; 3])), Connection),
        ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, [0; 5]), Connection),
        ("SETTINGS ACK with content", frame(SETTINGS, ACK, 0, [0; 6]), Connection),
        ("WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, [0; 3]), Connection),
        ("WINDOW_UPDATE by 0", window(0, 0), Connection),
        ("WINDOW_UPDATE by 0 on a stream", then(window(1, 0)), Refused),
        ("a window over 2^31-1", window(0, 0x7fff_ffff), Connection),
        ("a stream's window over 2^31-1", then(window(1, 0x7fff_ffff)), Refused),
        ("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2], &get()[..]].concat()), Connection),
        ("ENABLE_PUSH 2", setting(2, 2), Connection),
        ("INITIAL_WINDOW_SIZE 2^31", setting(4, 1 << 31), Connection),
        ("MAX_FRAME_SIZE too small", setting(5, 16_383), Connection),
        ("MAX_FRAME_SIZE too large", setting(5, 1 << 24), Connection),
        ("a frame too large", frame(HEADERS, END_HEADERS, 1, vec![0; 20_000]), Connection),
        ("padding longer than the frame", then(frame(DATA, 8, 1, [9, 0])), Connection),
        ("HEADERS after the end", [request(1), request(1)].concat(), Refused),
        ("trailers without END_STREAM", then(frame(HEADERS, END_HEADERS, 1, field("x-t", "1"))), Refused),
    ]
}

fn blocks() -> Vec<Case> {
    let block = |bytes: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, bytes);
    vec![
        ("index 0", block(&[0x80]), Connection),
        ("an index nobody set", block(&[0xff, 0x7f]), Connection),
        ("a table larger than allowed", block(&[0x3f, 0xff, 0xff, 0x7f]), Connection),
        ("a field cut off", block(b"\x82\x84\x86\x00\x20ab"), Connection),
        ("an integer without an end", block(&[0xff; 40]), Connection),
        ("Huffman padding too long", block(b"\x82\x84\x86\x00\x01x\x82\x00\xff\xff"), Connection),
    ]
}

/// The four pseudo fields of a request.
fn pseudo(method: &'static str, scheme: &'static str, path: &'static str) -> [(&'static str, &'static str); 4] {
    [(":method", method), (":scheme", scheme), (":path", path), (":authority", "h")]
}

fn malformed() -> Vec<Case> {
    let with = |name, value| get_with(&[(name, value)]);
    let without = |index: usize| {
        let mut all = pseudo("GET", "http", "/").to_vec();
        all.remove(index);
        fields(&all)
    };
    let post = |length: &str, body: &str, end: bool| {
        let block = [
            pseudo("POST", "http", "/").iter().flat_map(|(n, v)| field(n, v)).collect(),
            field("content-length", length),
        ]
        .concat();
        [frame(HEADERS, END_HEADERS, 1, block), frame(DATA, u8::from(end), 1, body)].concat()
    };
    vec![
        ("plain fields", fields(&pseudo("GET", "http", "/a?b")), Served),
        (
            "no authority but Host",
            fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "h")]),
            Served,
        ),
        ("te: trailers", with("te", "trailers"), Served),
        ("a content-length that is right", post("2", "hi", true), Served),
        ("no method", without(0), Refused),
        ("no scheme", without(1), Refused),
        ("no path", without(2), Refused),
        ("no authority", without(3), Refused),
        ("an empty path", fields(&pseudo("GET", "http", "")), Refused),
        ("a path without a slash", fields(&pseudo("GET", "http", "a")), Refused),
        ("* for GET", fields(&pseudo("GET", "http", "*")), Refused),
        ("an unknown pseudo field", fields(&[&pseudo("GET", "http", "/")[..], &[(":x", "y")]].concat()), Refused),
        (
            "a pseudo field of answers",
            fields(&[&pseudo("GET", "http", "/")[..], &[(":status", "200")]].concat()),
            Refused,
        ),
        ("a pseudo field twice", fields(&[&pseudo("GET", "http", "/")[..], &[(":path", "/b")]].concat()), Refused),
        ("a pseudo field at the end", with(":path", "/b"), Refused),
        ("an upper-case name", with("X-Upper", "1"), Refused),
        ("a name with a space", with("x y", "1"), Refused),
        ("an empty name", with("", "1"), Refused),
        ("a name with a colon", with("x:y", "1"), Refused),
        ("a name with a line end", with("x\r\ny", "1"), Refused),
        ("a value with CR LF", with("x", "1\r\nevil: 1"), Refused),
        ("a value with LF", with("x", "1\nevil: 1"), Refused),
        ("a value with NUL", with("x", "1\0"), Refused),
        ("connection", with("connection", "close"), Refused),
        ("keep-alive", with("keep-alive", "1"), Refused),
        ("proxy-connection", with("proxy-connection", "close"), Refused),
        ("transfer-encoding", with("transfer-encoding", "chunked"), Refused),
        ("upgrade", with("upgrade", "websocket"), Refused),
        ("te: gzip", with("te", "gzip"), Refused),
        ("another host", with("host", "other"), Refused),
        ("a path with CR LF", fields(&pseudo("GET", "http", "/ HTTP/1.1\r\nx: y")), Refused),
        ("a path with a space", fields(&pseudo("GET", "http", "/a b")), Refused),
        // The fragment is dropped before it can be seen; it reaches nobody.
        ("a path with a fragment", fields(&pseudo("GET", "http", "/a#b")), Served),
        ("a method with a space", fields(&pseudo("GET /x HTTP/1.1\r\n", "http", "/")), Refused),
        ("CONNECT", fields(&[(":method", "CONNECT"), (":authority", "h:80")]), Refused),
        (
            "extended CONNECT of a protocol that is not offered",
            fields(&[&pseudo("CONNECT", "http", "/")[..], &[(":protocol", "connect-udp")]].concat()),
            Refused,
        ),
        (
            "a protocol without CONNECT",
            fields(&[&pseudo("GET", "http", "/")[..], &[(":protocol", "websocket")]].concat()),
            Refused,
        ),
        ("TRACE", fields(&pseudo("TRACE", "http", "/")), Refused),
        ("a content-length too long", post("5", "hi", true), Refused),
        ("a content-length too short", post("1", "hi", true), Refused),
        ("a content-length that is none", post("x", "hi", true), Refused),
        ("two content-lengths", with("content-length", "0,0"), Refused),
        ("expect: y", with("expect", "y"), Refused),
    ]
}

/// How the server takes frames.
pub(crate) async fn outcome(http2: &mut Http2) -> Result<Outcome> {
    loop {
        let Some(Frame { kind, payload, .. }) = http2.next().await? else { return Ok(Connection) };
        // A new size of the compression table may come first (RFC 7541 section 6.3).
        match (kind, payload.iter().find(|byte| !(0x20..0x40).contains(*byte))) {
            (GOAWAY, _) => return Ok(Connection),
            (RST_STREAM, _) => return Ok(Refused),
            // Index 8 of the static table is `:status: 200`.
            (HEADERS, Some(0x88)) => return Ok(Served),
            (HEADERS, _) => return Ok(Refused),
            _ => {}
        }
    }
}

/// Plays all cases and complains of all that are not as they must be.
pub(crate) async fn play(bench: &Bench, cases: &[Case]) {
    let mut complaints = Vec::new();
    for case in cases {
        complaints.extend(complaint(bench, case).await.err().map(|error| format!("{error:#}")));
    }
    println!("{} cases of HTTP/2 over {}", cases.len(), bench.scheme());
    assert!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
}

async fn complaint(bench: &Bench, (name, bytes, expected): &Case) -> Result<()> {
    let mut http2 = bench.connect_http2().await?;
    http2.offer(bytes).await;
    let found = outcome(&mut http2).await.with_context(|| format!("{name}: no outcome"))?;
    // An error of a stream may be taken for one of its connection (RFC 9113 section 5.4.2).
    let as_expected = found == *expected || (found, *expected) == (Connection, Refused);
    ensure!(as_expected, "{name}: {found:?} instead of {expected:?}");
    drop(http2);
    let record = bench.recorder.take().await?;
    ensure!(record.violations.is_empty(), "{name}: {:?}", record.violations);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rfc_9113_forbids_is_refused() -> Result<()> {
    let cases: Vec<Case> = [frames(), blocks(), malformed()].into_iter().flatten().collect();
    for bench in Bench::both().await? {
        play(&bench, &cases).await;
        bench.serves().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_preface_ends_the_connection() -> Result<()> {
    let bench = Bench::start().await?;
    for start in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all",
        "PRI / HTTP/2.0\r\n\r\n",
    ] {
        let mut raw = bench.connect().await?;
        raw.send(start).await?;
        let _ = raw.send([0; 64]).await;
        // Frames or 505 may come; then it must end.
        let _ = raw.rest().await;
    }
    ensure!(bench.recorder.take().await?.seen.is_empty());
    bench.serves().await
}
