//! The translation for backends of HTTP/2: a request that Balancer would write in HTTP/1.1 is the same request in HTTP/2,
//! in whatever pieces it is written; an answer of HTTP/2 is one message in HTTP/1.1, with the same body.

#![no_main]

use dataplane::{
    fuzzing::backend_http2::{Sent, answer, send},
    http1::{Body, Form, Framing, Head, Name, scan_response},
    http2::write_head,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use libfuzzer_sys::fuzz_target;

/// Longest part of a body.
const PART_BYTES: usize = 7;

fn request(bytes: &[u8]) {
    let mut head = Head::default();
    let Ok(Some(length)) = head.scan(bytes, &mut 0) else { return };
    // Backends get targets in origin form.
    if head.authority().is_some() {
        return;
    }
    let body = &bytes[length..];
    let Some(whole) = send(head.bytes(), body, body.len().max(1)) else { return };
    let in_bytes = send(head.bytes(), body, 1).expect("pieces do not matter");
    assert_eq!((&whole.data, &whole.trailers, whole.is_over), (&in_bytes.data, &in_bytes.trailers, in_bytes.is_over));
    assert_eq!(whole.framing, head.facts().framing);
    same_in_http1(&head, whole);
}

/// Translated back, it is what it was.
fn same_in_http1(head: &Head, sent: Sent) {
    let (parts, ()) = sent.request.into_parts();
    assert!(parts.headers.keys().all(|name| !is_hop_by_hop(name)), "{:?}", parts.headers);
    let mut back = Head::default();
    let has_body = sent.framing != Framing::Length(0);
    if back.write(|out| write_head(&parts, has_body, None, out)).is_err() {
        return;
    }
    assert_eq!((back.method(), back.get("host")), (head.method(), head.get("host")));
    assert_eq!(back.facts().framing, head.facts().framing);
    assert!(back.target() == head.target() || head.target().contains(&b'"'), "{back:?}");
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = Name::of(name.as_str().as_bytes());
    // TE is ours.
    matches!(name, Name::Connection | Name::TransferEncoding | Name::Upgrade | Name::KeepAlive)
}

fn fields<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let pairs = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        // As HTTP/2 has them.
        let name = HeaderName::from_lowercase(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    });
    let mut fields = HeaderMap::new();
    for (name, value) in pairs {
        fields.append(name, value);
    }
    fields
}

fn response(bytes: &[u8]) {
    let Some((status, rest)) = bytes.split_first() else { return };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let mut head = Response::new(());
    *head.status_mut() = (200 + u16::from(*status)).try_into().expect("up to 455");
    *head.headers_mut() = fields(&mut lines);
    let (trailers, count) = (fields(&mut lines), head.headers().len());
    let data = lines.next().unwrap_or_default();
    let (out, mut body) = answer(&head, &data.chunks(PART_BYTES).collect::<Vec<_>>(), Some(&trailers));
    let mut places = Vec::new();
    // What cannot be meant, such as two lengths, is refused there as from any backend.
    let Ok(scanned) = scan_response(&out, &mut 0, false, &mut places) else { return };
    let scanned = scanned.expect("it is a whole head");
    assert!(scanned.length == out.len() && scanned.options.close && places.len() <= count + 2, "{head:?}");
    if !head.headers().contains_key("content-length") && !matches!(head.status().as_u16(), 204 | 304) {
        let mut read = Body::of_response(scanned.framing, Form::Data);
        let Ok(taken) = read.take(&mut body) else {
            // The library takes names with `"`, which are none (RFC 9110 section 5.6.2): such an answer breaks off.
            assert!(trailers.keys().any(|name| name.as_str().contains('"')), "{trailers:?}");
            return;
        };
        assert!(read.is_over() && taken.consumed == body.len() && body[..taken.ready] == *data, "{head:?}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    request(bytes);
    response(bytes);
});
