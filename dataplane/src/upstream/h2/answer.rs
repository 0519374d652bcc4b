//! An answer of HTTP/2 as it goes onto an HTTP/1.1 wire.

use http::{HeaderMap, Response, StatusCode};

use crate::http1::Name;

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// As it is: there is none, or its length is among the fields.
    Bare,
    /// In chunks.
    Chunks,
}

/// Appends the head of the answer, after which the connection is not to be used again: that is how HTTP/1.1 says that
/// it was for one request. `is_over`: nothing follows.
pub(super) fn write_head(out: &mut Vec<u8>, answer: &Response<()>, to_head: bool, is_over: bool) -> Frames {
    let status = answer.status();
    put_status_and_fields(out, answer);
    let has_length = answer.headers().contains_key(http::header::CONTENT_LENGTH);
    let has_no_body = to_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let frames = match (has_length || has_no_body, is_over) {
        (true, _) => Frames::Bare,
        (false, true) => {
            out.extend_from_slice(b"content-length: 0\r\n");
            Frames::Bare
        }
        (false, false) => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Frames::Chunks
        }
    };
    out.extend_from_slice(b"connection: close\r\n\r\n");
    frames
}

/// Appends the head of an interim answer.
pub(super) fn write_interim(out: &mut Vec<u8>, answer: &Response<()>) {
    put_status_and_fields(out, answer);
    out.extend_from_slice(b"\r\n");
}

/// Appends a part of the body.
pub(super) fn write_part(out: &mut Vec<u8>, frames: Frames, part: &[u8]) {
    // An empty chunk would be the last.
    if frames == Frames::Bare || part.is_empty() {
        out.extend_from_slice(part);
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

/// Appends what ends the body. Where its length was known, there is no place for trailers.
pub(super) fn write_end(out: &mut Vec<u8>, frames: Frames, trailers: Option<&HeaderMap>) {
    if frames == Frames::Chunks {
        out.extend_from_slice(b"0\r\n");
        trailers.into_iter().for_each(|trailers| put_fields(out, trailers));
        out.extend_from_slice(b"\r\n");
    }
}

fn put_status_and_fields(out: &mut Vec<u8>, answer: &Response<()>) {
    let status = answer.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    put_fields(out, answer.headers());
}

fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    let of_http1 = |name: &http::HeaderName| Name::of(name.as_str().as_bytes()).is_hop_by_hop();
    for (name, value) in fields.iter().filter(|(name, _)| !of_http1(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{ResponseFraming, ResponseHead, scan_response};

    fn scanned(fields: &[(&'static str, &'static str)], status: u16, to_head: bool, is_over: bool) -> ResponseHead {
        let mut answer = Response::builder().status(status);
        for (name, value) in fields {
            answer = answer.header(*name, *value);
        }
        let mut out = Vec::new();
        write_head(&mut out, &answer.body(()).unwrap(), to_head, is_over);
        let head = scan_response(&out, &mut 0, to_head, &mut Vec::new()).unwrap().unwrap();
        assert_eq!(head.length, out.len(), "{}", String::from_utf8_lossy(&out));
        assert!(head.options.close);
        head
    }

    #[test]
    fn the_end_of_a_body_is_said_as_http1_says_it() {
        let length = [("content-length", "3"), ("x-a", "b")];
        assert_eq!(scanned(&length, 200, false, false).framing, ResponseFraming::Length(3));
        assert_eq!(scanned(&[], 200, false, false).framing, ResponseFraming::Chunked);
        assert_eq!(scanned(&[], 200, false, true).framing, ResponseFraming::None);
        assert_eq!(scanned(&length, 200, true, true).framing, ResponseFraming::None);
        assert_eq!(scanned(&[], 200, true, true).framing, ResponseFraming::None);
        assert_eq!(scanned(&[], 204, false, true).framing, ResponseFraming::None);
        assert_eq!(scanned(&[], 304, false, true).framing, ResponseFraming::None);
    }

    #[test]
    fn parts_and_trailers_are_chunks() {
        let (mut out, mut trailers) = (Vec::new(), HeaderMap::new());
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("connection", "close".parse().unwrap());
        write_part(&mut out, Frames::Chunks, b"hello world, hello");
        write_part(&mut out, Frames::Chunks, b"");
        write_end(&mut out, Frames::Chunks, Some(&trailers));
        assert_eq!(out, b"12\r\nhello world, hello\r\n0\r\ngrpc-status: 0\r\n\r\n");
        out.clear();
        write_part(&mut out, Frames::Bare, b"abc");
        write_end(&mut out, Frames::Bare, Some(&trailers));
        assert_eq!(out, b"abc");
    }
}
