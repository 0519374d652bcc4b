//! What Balancer says itself to a gRPC client: it looks for a status of gRPC and not for one of HTTP ("gRPC over HTTP2",
//! Responses, Trailers-Only).

use super::{Answer, AnswerBody};
use crate::{
    http1::{Head, put_field},
    metrics::OwnAnswer,
    server::Worker,
};

/// Whether this is a call of gRPC, in whatever encoding of messages. gRPC-Web reads statuses of HTTP.
pub(super) fn is_call(head: &Head) -> bool {
    let rest = head.get("content-type").and_then(|value| value.strip_prefix(b"application/grpc"));
    matches!(rest, Some([] | [b'+' | b';' | b' ', ..]))
}

/// An answer without its id: the status is among the fields, and there is no body.
pub(super) fn answer(worker: &Worker, reason: OwnAnswer, sentence: &str) -> Answer {
    let mut head = worker.buffers.sheet();
    head.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n");
    put_field(&mut head, "grpc-status", itoa::Buffer::new().format(status(reason)).as_bytes());
    put_field(&mut head, "grpc-message", sentence.as_bytes());
    Answer { status: 200, head, has_date: false, body: AnswerBody::Own("") }
}

/// As clients of gRPC expect it; a client over its limit learns that it is that, and not that nobody is there.
fn status(reason: OwnAnswer) -> u8 {
    const DEADLINE_EXCEEDED: u8 = 4;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    match reason {
        OwnAnswer::OverLimit => RESOURCE_EXHAUSTED,
        OwnAnswer::Timeout | OwnAnswer::RequestTimeout => DEADLINE_EXCEEDED,
        OwnAnswer::BadRequest => INTERNAL,
        OwnAnswer::NoSnapshot
        | OwnAnswer::NoBackend
        | OwnAnswer::ConnectFailed
        | OwnAnswer::Overloaded
        | OwnAnswer::TooManyConnections
        | OwnAnswer::BadGateway => UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let mut head = Head::default();
            let text = format!("POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\r\n");
            head.scan(text.as_bytes(), &mut 0).unwrap().unwrap();
            assert_eq!(is_call(&head), expected, "{content_type}");
        }
    }
}
