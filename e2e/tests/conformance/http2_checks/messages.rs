//! `generic` 4 and `http2` 8: requests.

use super::{Check, PROTOCOL_ERROR, Pass, check, frame_of, get, head, join, post};
use crate::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, field, frame};

const MALFORMED: Pass = Pass::Stream(&[PROTOCOL_ERROR]);

pub(super) fn checks() -> Vec<Check> {
    [exchanges(), fields(), pseudo_fields(), lengths()].into_iter().flatten().collect()
}

fn data(flags: u8) -> Vec<u8> {
    frame(DATA, flags, 1, "test")
}

fn exchanges() -> Vec<Check> {
    let announced = frame(HEADERS, END_HEADERS, 1, [head("POST"), field("trailer", "x-test")].concat());
    let trailers = |flags| frame(HEADERS, END_HEADERS | flags, 1, field("x-test", "ok"));
    vec![
        check("generic 4 GET", get(1), Pass::Headers),
        check("generic 4 HEAD", frame_of(1, &[&head("HEAD")]), Pass::Headers),
        check("generic 4 POST", join([post(1), data(END_STREAM)]), Pass::Headers),
        check("generic 4 POST with trailers", join([announced, data(0), trailers(END_STREAM)]), Pass::Headers),
        check("http2 8.1 trailers without END_STREAM", join([post(1), data(0), trailers(0)]), MALFORMED),
    ]
}

fn fields() -> Vec<Check> {
    let with = |name: &str, value: &str| frame_of(1, &[&head("GET"), &field(name, value)]);
    let pseudo_trailer = frame(HEADERS, END_HEADERS, 1, field(":method", "POST"));
    vec![
        check("http2 8.1.2 an upper-case name", with("X-TEST", "ok"), MALFORMED),
        check("http2 8.1.2.1 an unknown pseudo field", with(":test", "ok"), MALFORMED),
        check("http2 8.1.2.1 a pseudo field of answers", with(":status", "200"), MALFORMED),
        check("http2 8.1.2.1 a pseudo field as a trailer", join([post(1), data(0), pseudo_trailer]), MALFORMED),
        check(
            "http2 8.1.2.1 a pseudo field after another field",
            frame_of(1, &[&field("x-test", "ok"), &head("GET")]),
            MALFORMED,
        ),
        check("http2 8.1.2.2 a field of the connection", with("connection", "keep-alive"), MALFORMED),
        check(
            "http2 8.1.2.2 TE that is not trailers",
            frame_of(1, &[&head("GET"), &field("trailers", "test"), &field("te", "trailers, deflate")]),
            MALFORMED,
        ),
    ]
}

fn pseudo_fields() -> Vec<Check> {
    let (method, scheme, path) = (field(":method", "GET"), field(":scheme", "http"), field(":path", "/"));
    let authority = field(":authority", "h");
    let of = |fields: &[&Vec<u8>]| {
        frame_of(1, &[&fields.iter().flat_map(|field| field.iter().copied()).collect::<Vec<_>>()])
    };
    let again = |pseudo: &Vec<u8>| frame_of(1, &[&head("GET"), pseudo]);
    vec![
        check("http2 8.1.2.3 an empty path", of(&[&method, &scheme, &field(":path", ""), &authority]), MALFORMED),
        check("http2 8.1.2.3 no method", of(&[&scheme, &path, &authority]), MALFORMED),
        check("http2 8.1.2.3 no scheme", of(&[&method, &path, &authority]), MALFORMED),
        check("http2 8.1.2.3 no path", of(&[&method, &scheme, &authority]), MALFORMED),
        check("http2 8.1.2.3 method twice", again(&method), MALFORMED),
        check("http2 8.1.2.3 scheme twice", again(&scheme), MALFORMED),
        check("http2 8.1.2.3 path twice", again(&path), MALFORMED),
    ]
}

fn lengths() -> Vec<Check> {
    let post_of_1 = || frame(HEADERS, END_HEADERS, 1, [head("POST"), field("content-length", "1")].concat());
    vec![
        check("http2 8.1.2.6 a length that is not that of DATA", join([post_of_1(), data(END_STREAM)]), MALFORMED),
        check(
            "http2 8.1.2.6 a length that is not that of all DATA",
            join([post_of_1(), data(0), data(END_STREAM)]),
            MALFORMED,
        ),
    ]
}
