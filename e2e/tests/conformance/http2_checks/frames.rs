//! `generic` 3 and `http2` 6 and 7: each type of frame.

use super::{
    Check, FRAME_SIZE_ERROR, PROTOCOL_ERROR, Pass,
    Step::{Acknowledged, Send},
    check, dummies, frame_of, get, head, join, ping, post, setting, steps,
};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, field, frame,
};

const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;
const WRONG: Pass = Pass::Connection(&[PROTOCOL_ERROR]);

pub(super) fn checks() -> Vec<Check> {
    [accepted(), data_and_headers(), settings(), others(), continuation()].into_iter().flatten().collect()
}

fn accepted() -> Vec<Check> {
    let data = |flags| frame(DATA, flags, 1, "test");
    let padded_data = [&[6], &b"test"[..], &[0; 6]].concat();
    let padded = [&[8], &head("GET")[..], &[0; 8]].concat();
    let prioritized = [&[0, 0, 0, 0, 255], &head("GET")[..]].concat();
    let all = [(1, 4096), (2, 1), (3, 100), (4, 65_535), (5, 16_384), (6, 100)];
    let all: Vec<u8> =
        all.iter().flat_map(|(id, value): &(u8, u32)| [&[0, *id], &value.to_be_bytes()[..]].concat()).collect();
    let goodbye = [&[0; 8], &b"goodbye"[..]].concat();
    let (first, rest) = (head("GET")[..5].to_vec(), head("GET")[5..].to_vec());
    let begin = || frame(HEADERS, END_STREAM, 1, &first);
    vec![
        check("generic 3.1 DATA", join([post(1), data(END_STREAM)]), Pass::Headers),
        check("generic 3.1 DATA twice", join([post(1), data(0), data(END_STREAM)]), Pass::Headers),
        check(
            "generic 3.1 DATA with padding",
            join([post(1), frame(DATA, END_STREAM | PADDED, 1, padded_data)]),
            Pass::Headers,
        ),
        check("generic 3.2 HEADERS", get(1), Pass::Headers),
        check(
            "generic 3.2 HEADERS with padding",
            frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, padded),
            Pass::Headers,
        ),
        check(
            "generic 3.2 HEADERS with a priority",
            frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, prioritized),
            Pass::Headers,
        ),
        check(
            "generic 3.4 RST_STREAM",
            join([post(1), frame(RST_STREAM, 0, 1, [0, 0, 0, 8]), ping()]),
            Pass::PongOrClosed,
        ),
        steps("generic 3.5 SETTINGS", vec![Send(frame(SETTINGS, 0, 0, all)), Acknowledged], Pass::Reached),
        check("generic 3.7 PING", ping(), Pass::Pong),
        check("generic 3.8 GOAWAY", frame(GOAWAY, 0, 0, goodbye), Pass::Closed),
        check(
            "generic 3.9 WINDOW_UPDATE of the connection",
            join([frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]), ping()]),
            Pass::Pong,
        ),
        check(
            "generic 3.9 WINDOW_UPDATE of a stream",
            join([get(1), frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1])]),
            Pass::Headers,
        ),
        check("generic 3.10 CONTINUATION", join([begin(), frame(CONTINUATION, END_HEADERS, 1, &rest)]), Pass::Headers),
        check(
            "generic 3.10 CONTINUATION twice",
            join([begin(), frame(CONTINUATION, 0, 1, &rest[..5]), frame(CONTINUATION, END_HEADERS, 1, &rest[5..])]),
            Pass::Headers,
        ),
    ]
}

fn data_and_headers() -> Vec<Check> {
    let headers = || frame(HEADERS, 0, 1, head("GET"));
    let last = || frame(CONTINUATION, END_HEADERS, 1, dummies(1));
    let post_of_4 = frame(HEADERS, END_HEADERS, 1, [head("POST"), field("content-length", "4")].concat());
    let length = u8::try_from(head("GET").len()).unwrap_or(u8::MAX);
    let overpadded = [&[length + 2], &head("GET")[..]].concat();
    vec![
        check("http2 6.1 DATA on stream 0", frame(DATA, END_STREAM, 0, "test"), WRONG),
        check(
            "http2 6.1 DATA on a stream that is not open",
            join([frame_of(1, &[&head("POST")]), frame(DATA, END_STREAM, 1, "test")]),
            Pass::Stream(&[super::STREAM_CLOSED]),
        ),
        check(
            "http2 6.1 DATA with more padding than frame",
            join([post_of_4, frame(DATA, END_STREAM | PADDED, 1, b"\x06test")]),
            WRONG,
        ),
        check(
            "http2 6.2 HEADERS, then PRIORITY",
            join([headers(), frame(PRIORITY, 0, 1, [0, 0, 0, 0, 255]), last()]),
            WRONG,
        ),
        check("http2 6.2 HEADERS, then those of another stream", join([headers(), get(3), last()]), WRONG),
        check("http2 6.2 HEADERS on stream 0", get(0), WRONG),
        check(
            "http2 6.2 HEADERS with more padding than frame",
            frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, overpadded),
            Pass::Stream(&[PROTOCOL_ERROR]),
        ),
        check("http2 6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, [0, 0, 0, 0, 255]), WRONG),
        check(
            "http2 6.3 PRIORITY of 4 bytes",
            join([get(1), frame(PRIORITY, 0, 1, [0x80, 0, 0, 1])]),
            Pass::Stream(&[FRAME_SIZE_ERROR]),
        ),
        check(
            "http2 6.3 PRIORITY, then a lower stream",
            join([frame(PRIORITY, 0, 3, [0, 0, 0, 0, 255]), get(1)]),
            Pass::Headers,
        ),
        check("http2 6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, [0, 0, 0, 8]), WRONG),
        check("http2 6.4 RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, [0, 0, 0, 8]), WRONG),
        check(
            "http2 6.4 RST_STREAM of 3 bytes",
            join([get(1), frame(RST_STREAM, 0, 1, [0; 3])]),
            Pass::Stream(&[FRAME_SIZE_ERROR]),
        ),
    ]
}

fn settings() -> Vec<Check> {
    let sized = Pass::Connection(&[FRAME_SIZE_ERROR]);
    let overflows = Pass::Connection(&[super::FLOW_CONTROL_ERROR]);
    vec![
        check("http2 6.5 SETTINGS, ACK with content", frame(SETTINGS, ACK, 0, [0]), sized),
        check("http2 6.5 SETTINGS on stream 1", frame(SETTINGS, 0, 1, [0, 3, 0, 0, 0, 100]), WRONG),
        check(
            "http2 6.5 SETTINGS of 3 bytes",
            frame(SETTINGS, 0, 0, [0, 3, 0]),
            Pass::Stream(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
        ),
        check("http2 6.5.2 ENABLE_PUSH of 2", setting(2, 2), WRONG),
        check("http2 6.5.2 INITIAL_WINDOW_SIZE of 2^31", setting(4, 1 << 31), overflows),
        check("http2 6.5.2 MAX_FRAME_SIZE of 2^14-1", setting(5, 16_383), WRONG),
        check("http2 6.5.2 MAX_FRAME_SIZE of 2^24", setting(5, 1 << 24), WRONG),
        check("http2 6.5.2 an unknown setting", join([setting(0xff, 1), ping()]), Pass::Pong),
        steps(
            "http2 6.5.3 a setting twice",
            vec![Send(frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1])), Acknowledged, Send(get(1))],
            Pass::Data(1),
        ),
        steps("http2 6.5.3 SETTINGS are acknowledged", vec![Send(setting(2, 0)), Acknowledged], Pass::Reached),
    ]
}

fn others() -> Vec<Check> {
    vec![
        check("http2 6.7 PING", ping(), Pass::Pong),
        check("http2 6.7 PING that is an answer", join([frame(PING, ACK, 0, "invalid1"), ping()]), Pass::Pong),
        check("http2 6.7 PING on a stream", frame(PING, 0, 1, [0; 8]), WRONG),
        check("http2 6.7 PING of 6 bytes", frame(PING, 0, 0, [0; 6]), Pass::Connection(&[FRAME_SIZE_ERROR])),
        check("http2 6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, [0; 8]), WRONG),
        check("http2 7 GOAWAY with an unknown code", frame(GOAWAY, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xff]), Pass::Closed),
        check(
            "http2 7 RST_STREAM with an unknown code",
            join([post(1), frame(RST_STREAM, 0, 1, [0, 0, 0, 0xff]), ping()]),
            Pass::Pong,
        ),
        check("http2 8.2 PUSH_PROMISE", frame(5, END_HEADERS, 1, [&[0, 0, 0, 3], &head("GET")[..]].concat()), WRONG),
    ]
}

fn continuation() -> Vec<Check> {
    let more = |flags| frame(CONTINUATION, flags, 1, dummies(1));
    let open = |method: &str, flags| frame(HEADERS, flags, 1, head(method));
    let elsewhere = || frame(CONTINUATION, END_HEADERS, 0, dummies(1));
    vec![
        check(
            "http2 6.10 CONTINUATION twice",
            join([open("GET", END_STREAM), more(0), more(END_HEADERS)]),
            Pass::Headers,
        ),
        check(
            "http2 6.10 CONTINUATION, then DATA",
            join([open("POST", 0), more(0), frame(DATA, END_STREAM, 1, "test")]),
            WRONG,
        ),
        check("http2 6.10 CONTINUATION on stream 0", join([open("GET", END_STREAM), elsewhere()]), WRONG),
        check("http2 6.10 CONTINUATION after END_HEADERS", join([get(1), more(END_HEADERS)]), WRONG),
        check(
            "http2 6.10 CONTINUATION after the last one",
            join([open("GET", END_STREAM), more(END_HEADERS), more(END_HEADERS)]),
            WRONG,
        ),
        check(
            "http2 6.10 CONTINUATION after DATA",
            join([open("POST", 0), frame(DATA, END_STREAM, 1, "test"), more(0), elsewhere()]),
            WRONG,
        ),
    ]
}
