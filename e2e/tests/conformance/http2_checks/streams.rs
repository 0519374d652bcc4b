//! `generic` 2 and 3.3; `http2` 5: the states of a stream, and who may name which.

use super::{
    Check, PROTOCOL_ERROR, Pass, REFUSED_STREAM, STREAM_CLOSED,
    Step::{Answered, Send},
    check, dummies, get, head, join, ping, post, setting, steps,
};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, WINDOW_UPDATE, frame,
};

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, [&on.to_be_bytes()[..], &[weight]].concat())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, [0, 0, 0, 8])
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

fn last_data() -> Vec<u8> {
    frame(DATA, END_STREAM, 1, "test")
}

fn continuation(block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, 1, block)
}

pub(super) fn checks() -> Vec<Check> {
    [accepted(), idle_and_half_closed(), closed(), names()].into_iter().flatten().collect()
}

fn accepted() -> Vec<Check> {
    let nothing_goes = || setting(4, 0);
    vec![
        check("generic 2 PRIORITY on an idle stream", join([priority(1, 0, 255), ping()]), Pass::Pong),
        check(
            "generic 2 WINDOW_UPDATE on a half-closed stream",
            join([nothing_goes(), get(1), window(1, 1)]),
            Pass::Data(1),
        ),
        check(
            "generic 2 PRIORITY on a half-closed stream",
            join([nothing_goes(), get(1), priority(1, 0, 255), window(1, 1)]),
            Pass::Data(1),
        ),
        check("generic 2 RST_STREAM on a half-closed stream", join([get(1), reset(1), ping()]), Pass::PongOrClosed),
        steps(
            "generic 2 PRIORITY on a closed stream",
            vec![Send(get(1)), Answered, Send(join([priority(1, 0, 255), ping()]))],
            Pass::Pong,
        ),
        check("generic 3.3 PRIORITY with weight 1", join([priority(1, 0, 0), get(1)]), Pass::Headers),
        check("generic 3.3 PRIORITY with weight 256", join([priority(1, 0, 255), get(1)]), Pass::Headers),
        check("generic 3.3 PRIORITY with a dependency", join([priority(3, 1, 0), get(1)]), Pass::Headers),
        check("generic 3.3 PRIORITY that is exclusive", join([priority(1, 1 << 31, 0), get(1)]), Pass::Headers),
        check("generic 3.3 PRIORITY, then a lower stream", join([priority(3, 0, 255), get(1)]), Pass::Headers),
    ]
}

fn idle_and_half_closed() -> Vec<Check> {
    vec![
        check("http2 5.1 idle: DATA", last_data(), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1 idle: RST_STREAM", reset(1), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1 idle: WINDOW_UPDATE", window(1, 100), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1 idle: CONTINUATION", continuation(head("GET")), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1 half closed: DATA", join([get(1), last_data()]), Pass::Stream(&[STREAM_CLOSED])),
        check("http2 5.1 half closed: HEADERS", join([get(1), get(1)]), Pass::Stream(&[STREAM_CLOSED])),
        check(
            "http2 5.1 half closed: CONTINUATION",
            join([get(1), continuation(head("GET"))]),
            Pass::Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn closed() -> Vec<Check> {
    let gone = |then: Vec<u8>| join([post(1), reset(1), then]);
    let over = |then: Vec<u8>| vec![Send(get(1)), Answered, Send(then)];
    vec![
        check("http2 5.1 closed by RST_STREAM: DATA", gone(last_data()), Pass::Stream(&[STREAM_CLOSED])),
        check("http2 5.1 closed by RST_STREAM: HEADERS", gone(get(1)), Pass::Stream(&[STREAM_CLOSED])),
        check(
            "http2 5.1 closed by RST_STREAM: CONTINUATION",
            gone(continuation(dummies(1))),
            Pass::Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        // The list goes by RFC 7540, which asked for an error of the connection; by RFC 9113 it may be one.
        steps("http2 5.1 closed: DATA", over(last_data()), Pass::Stream(&[STREAM_CLOSED])),
        steps("http2 5.1 closed: HEADERS", over(get(1)), Pass::Connection(&[STREAM_CLOSED])),
        steps(
            "http2 5.1 closed: CONTINUATION",
            over(continuation(dummies(1))),
            Pass::Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn names() -> Vec<Check> {
    let depends_on_itself = [&[0, 0, 0, 1, 255], &head("GET")[..]].concat();
    let invalid_ping = || frame(PING, 0, 3, [0; 8]);
    vec![
        check("http2 5.1.1 an even stream", get(2), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1.1 a stream below the last", join([get(5), get(3)]), Pass::Connection(&[PROTOCOL_ERROR])),
        check("http2 5.1.1 HEADERS on a half-closed stream", join([get(5), get(5)]), Pass::Stream(&[STREAM_CLOSED])),
        check(
            "http2 5.1.2 more streams than announced",
            [setting(4, 0), (0..=128).flat_map(|number| get(2 * number + 1)).collect()].concat(),
            Pass::Stream(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
        check(
            "http2 5.3.1 HEADERS that depend on themselves",
            frame(HEADERS, END_STREAM | END_HEADERS | 0x20, 1, depends_on_itself),
            Pass::Stream(&[PROTOCOL_ERROR]),
        ),
        check("http2 5.3.1 PRIORITY that depends on itself", priority(1, 1, 255), Pass::Stream(&[PROTOCOL_ERROR])),
        check("http2 5.4.1 an invalid PING", invalid_ping(), Pass::Closed),
        check("http2 5.4.1 GOAWAY before the end", invalid_ping(), Pass::Goaway(&[PROTOCOL_ERROR])),
    ]
}
