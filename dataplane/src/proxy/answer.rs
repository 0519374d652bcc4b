//! Answers that Balancer makes itself: `application/problem+json` (RFC 9457) with an `X-Request-Id`.

use super::{Answer, AnswerBody, grpc};
use crate::{
    http1::{Fault, Head, Name, put_field},
    metrics::OwnAnswer,
    server::Worker,
};

/// Longest request id of a client that is given back.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The request id that the client chose, if it is one that can be given back.
pub(super) fn request_id(head: &Head) -> Option<&[u8]> {
    let id = head.fields().first(Name::XRequestId)?;
    let visible = id.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    (!id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && visible).then_some(id)
}

/// The answer for `reason` to a request with this head, under the client's request id or a new one.
pub(super) fn own_answer(worker: &Worker, head: &Head, reason: OwnAnswer) -> Answer {
    worker.shared.metrics.requests.own_answer(reason);
    let (id, problem) = (request_id(head), problem(reason));
    let mut answer = if grpc::is_call(head) {
        named(worker, id, grpc::answer(worker, reason, problem.sentence))
    } else {
        answer(worker, id, problem)
    };
    if matches!(reason, OwnAnswer::Overloaded | OwnAnswer::TooManyConnections) {
        put_field(&mut answer.head, "Retry-After", b"1");
    }
    answer
}

/// The answer to a request that must not be forwarded.
pub(super) fn fault(worker: &Worker, fault: Fault) -> Answer {
    worker.shared.metrics.requests.own_answer(match fault {
        Fault::Slow => OwnAnswer::RequestTimeout,
        _ => OwnAnswer::BadRequest,
    });
    answer(worker, None, fault_problem(fault))
}

/// The answer of the last hop that `Max-Forwards` allows.
pub(super) fn last_hop(worker: &Worker) -> Answer {
    let mut head = worker.buffers.sheet();
    head.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    Answer { status: 200, head, has_date: false, body: AnswerBody::Own("") }
}

fn answer(worker: &Worker, id: Option<&[u8]>, problem: Problem) -> Answer {
    let mut head = worker.buffers.sheet();
    head.extend_from_slice(problem.head.as_bytes());
    put_field(&mut head, "Content-Length", itoa::Buffer::new().format(problem.body.len()).as_bytes());
    named(worker, id, Answer { status: problem.status, head, has_date: false, body: AnswerBody::Own(problem.body) })
}

fn named(worker: &Worker, id: Option<&[u8]>, mut answer: Answer) -> Answer {
    match id {
        Some(id) => put_field(&mut answer.head, "X-Request-Id", id),
        None => put_field(&mut answer.head, "X-Request-Id", &new_id(worker)),
    }
    answer
}

fn new_id(worker: &Worker) -> [u8; 32] {
    let mut id = [0; 32];
    for sixteen in id.as_chunks_mut::<16>().0 {
        let random = worker.random();
        sixteen[..8].copy_from_slice(&hex((random >> 32) as u32));
        sixteen[8..].copy_from_slice(&hex(random as u32));
    }
    id
}

/// Eight digits, all at once: first one to a byte, then what makes each a letter or a figure.
fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::MAX / 0xff;
    let spread = u64::from(number);
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let digits = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (digits + ONES * 6) >> 4 & ONES;
    (digits + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// An answer without its id. `$detail` is one sentence; legacy clients read it from `errors`.
macro_rules! problem {
    ($code:literal, $title:literal, $detail:literal) => {
        Problem {
            status: $code,
            head: concat!("HTTP/1.1 ", $code, " ", $title, "\r\nContent-Type: application/problem+json\r\n"),
            body: concat!(
                r#"{"type":"about:blank","title":""#,
                $title,
                r#"","status":"#,
                $code,
                r#","detail":""#,
                $detail,
                r#"","errors":""#,
                $detail,
                "\"}\n"
            ),
            sentence: $detail,
        }
    };
}

struct Problem {
    status: u16,
    head: &'static str,
    body: &'static str,
    sentence: &'static str,
}

fn problem(reason: OwnAnswer) -> Problem {
    match reason {
        OwnAnswer::OverLimit => problem!(
            429,
            "Too Many Requests",
            "The client is over its limit; try again after the seconds given in Retry-After."
        ),
        OwnAnswer::NoSnapshot => {
            problem!(503, "Service Unavailable", "The balancer has not received its configuration yet.")
        }
        OwnAnswer::NoBackend => {
            problem!(503, "Service Unavailable", "No healthy backend can take the request.")
        }
        OwnAnswer::ConnectFailed => {
            problem!(503, "Service Unavailable", "No backend could be connected to.")
        }
        OwnAnswer::Overloaded => problem!(
            503,
            "Service Unavailable",
            "All backends are busy, and none had room in time; try again after the seconds given in Retry-After."
        ),
        OwnAnswer::TooManyConnections => {
            problem!(503, "Service Unavailable", "There are too many connections; close some, or try again later.")
        }
        OwnAnswer::BadGateway => problem!(
            502,
            "Bad Gateway",
            "The backend closed the connection or answered with something that is not HTTP."
        ),
        OwnAnswer::Timeout => {
            problem!(504, "Gateway Timeout", "The backend did not answer in time.")
        }
        OwnAnswer::BadRequest => {
            problem!(400, "Bad Request", "The request is not one that can be forwarded.")
        }
        OwnAnswer::RequestTimeout => {
            problem!(408, "Request Timeout", "The client did not send its request in time.")
        }
    }
}

fn fault_problem(fault: Fault) -> Problem {
    macro_rules! bad_request {
        ($detail:literal) => {
            problem!(400, "Bad Request", $detail)
        };
    }
    match fault {
        Fault::RequestLine => bad_request!("The request line is not 'method target HTTP/1.1'."),
        Fault::Protocol => bad_request!("This is not HTTP."),
        Fault::Target => bad_request!("The request target is not one that its method takes, or has a forbidden byte."),
        Fault::LineEnd => bad_request!("A line does not end with CR LF, or holds a CR or LF elsewhere."),
        Fault::Field => bad_request!("A header field is not 'name: value' of allowed bytes."),
        Fault::Host => bad_request!("Host is missing, given twice, not a host, or not that of the target."),
        Fault::ContentLength => {
            bad_request!("Content-Length is not one decimal number, or stands beside Transfer-Encoding.")
        }
        Fault::TransferEncoding => bad_request!("Transfer-Encoding is given twice, or in HTTP/1.0."),
        Fault::Chunk => bad_request!("The chunked body is malformed."),
        Fault::Coding => {
            problem!(501, "Not Implemented", "No transfer coding other than 'chunked' is supported.")
        }
        Fault::Method => {
            problem!(501, "Not Implemented", "The methods CONNECT and TRACE are not supported.")
        }
        Fault::Version => problem!(505, "HTTP Version Not Supported", "Only HTTP/1.1 and HTTP/1.0 are supported here."),
        Fault::TargetTooLong => problem!(414, "URI Too Long", "The request line is longer than 8 KiB."),
        Fault::HeadTooLarge => {
            problem!(431, "Request Header Fields Too Large", "The request head has more than 32 KiB or 100 fields.")
        }
        Fault::Expectation => {
            problem!(417, "Expectation Failed", "The only expectation is '100-continue'.")
        }
        Fault::Slow => {
            problem!(408, "Request Timeout", "The client did not send its request in time.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_answer_is_a_problem_that_says_its_status() {
        let problems = OwnAnswer::ALL.map(problem).into_iter().chain(Fault::ALL.map(fault_problem));
        for Problem { status, head, body, sentence } in problems {
            // As it is also the message of gRPC, which encodes all else.
            assert!(sentence.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'), "{sentence}");
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            let title = http::StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
            assert_eq!(json["status"], status, "{body}");
            assert_eq!(json["title"], title);
            assert_eq!(json["detail"], json["errors"]);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} {title}\r\n")), "{head}");
        }
    }

    #[test]
    fn an_id_is_spelt_in_hexadecimal() {
        for number in [0, 0x0123_4567, 0x89ab_cdef, u32::MAX] {
            assert_eq!(hex(number), format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn only_a_short_visible_request_id_is_given_back() {
        let id = |value: &[u8]| {
            let mut head = Head::default();
            let text = [b"GET / HTTP/1.1\r\nHost: h\r\nx-request-id: ", value, b"\r\n\r\n"].concat();
            head.scan(&text, &mut 0).unwrap().unwrap();
            request_id(&head).map(<[u8]>::to_vec)
        };
        assert_eq!(id(b"abc-1").unwrap(), b"abc-1");
        assert_eq!(id(b""), None);
        assert_eq!(id(b"\xff"), None);
        assert_eq!(id(&[b'x'; 129]), None);
    }
}
