//! Answers that Balancer makes itself: `application/problem+json` (RFC 9457) with an `X-Request-Id`.

use bytes::{BufMut, Bytes};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};

use super::body::ProxyBody;
use crate::{http1::Fault, metrics::OwnAnswer, server::Worker};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Longest request id of a client that is given back.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The request id that the client chose, if it is one that can be given back.
pub(super) fn request_id<B>(request: &Request<B>) -> Option<HeaderValue> {
    let id = request.headers().get(&X_REQUEST_ID)?;
    (!id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.to_str().is_ok()).then(|| id.clone())
}

/// The answer for `reason`, under the client's request id or a new one.
pub(super) fn own_answer(worker: &Worker, id: Option<HeaderValue>, reason: OwnAnswer) -> Response<ProxyBody> {
    worker.shared.metrics.requests.own_answer(reason);
    let mut response = answer(worker, id, problem(reason));
    if matches!(reason, OwnAnswer::Overloaded | OwnAnswer::TooManyConnections) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a request that must not be forwarded.
pub(super) fn fault(worker: &Worker, fault: Fault) -> Response<ProxyBody> {
    worker.shared.metrics.requests.own_answer(match fault {
        Fault::Slow => OwnAnswer::RequestTimeout,
        _ => OwnAnswer::BadRequest,
    });
    answer(worker, None, fault_problem(fault))
}

fn answer(worker: &Worker, id: Option<HeaderValue>, (status, body): Problem) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::full(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PROBLEM_JSON.clone());
    headers.insert(X_REQUEST_ID.clone(), id.unwrap_or_else(|| new_id(worker)));
    response
}

fn new_id(worker: &Worker) -> HeaderValue {
    let id = [worker.random(), worker.random()];
    worker.values.render(|b| {
        for byte in id.iter().flat_map(|half| half.to_be_bytes()) {
            b.put_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
    })
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

/// `$detail` is one sentence; legacy clients read it from `errors`.
macro_rules! problem {
    ($status:ident, $code:literal, $title:literal, $detail:literal) => {
        (
            StatusCode::$status,
            concat!(
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
        )
    };
}

type Problem = (StatusCode, &'static str);

fn problem(reason: OwnAnswer) -> Problem {
    match reason {
        OwnAnswer::OverLimit => problem!(
            TOO_MANY_REQUESTS,
            429,
            "Too Many Requests",
            "The client is over its limit; try again after the seconds given in Retry-After."
        ),
        OwnAnswer::NoSnapshot => problem!(
            SERVICE_UNAVAILABLE,
            503,
            "Service Unavailable",
            "The balancer has not received its configuration yet."
        ),
        OwnAnswer::NoBackend => {
            problem!(SERVICE_UNAVAILABLE, 503, "Service Unavailable", "No healthy backend can take the request.")
        }
        OwnAnswer::ConnectFailed => {
            problem!(SERVICE_UNAVAILABLE, 503, "Service Unavailable", "No backend could be connected to.")
        }
        OwnAnswer::Overloaded => problem!(
            SERVICE_UNAVAILABLE,
            503,
            "Service Unavailable",
            "All backends are busy, and none had room in time; try again after the seconds given in Retry-After."
        ),
        OwnAnswer::TooManyConnections => problem!(
            SERVICE_UNAVAILABLE,
            503,
            "Service Unavailable",
            "There are too many connections; close some, or try again later."
        ),
        OwnAnswer::BadGateway => problem!(
            BAD_GATEWAY,
            502,
            "Bad Gateway",
            "The backend closed the connection or answered with something that is not HTTP."
        ),
        OwnAnswer::Timeout => {
            problem!(GATEWAY_TIMEOUT, 504, "Gateway Timeout", "The backend did not answer in time.")
        }
        OwnAnswer::BadRequest => {
            problem!(BAD_REQUEST, 400, "Bad Request", "The request is not one that can be forwarded.")
        }
        OwnAnswer::RequestTimeout => {
            problem!(REQUEST_TIMEOUT, 408, "Request Timeout", "The client did not send its request in time.")
        }
    }
}

fn fault_problem(fault: Fault) -> Problem {
    macro_rules! bad_request {
        ($detail:literal) => {
            problem!(BAD_REQUEST, 400, "Bad Request", $detail)
        };
    }
    match fault {
        Fault::RequestLine => bad_request!("The request line is not 'method target HTTP/1.1'."),
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
            problem!(NOT_IMPLEMENTED, 501, "Not Implemented", "No transfer coding other than 'chunked' is supported.")
        }
        Fault::Method => {
            problem!(NOT_IMPLEMENTED, 501, "Not Implemented", "The methods CONNECT and TRACE are not supported.")
        }
        Fault::Version => problem!(
            HTTP_VERSION_NOT_SUPPORTED,
            505,
            "HTTP Version Not Supported",
            "Only HTTP/1.1 and HTTP/1.0 are supported here."
        ),
        Fault::TargetTooLong => problem!(URI_TOO_LONG, 414, "URI Too Long", "The request line is longer than 8 KiB."),
        Fault::HeadTooLarge => problem!(
            REQUEST_HEADER_FIELDS_TOO_LARGE,
            431,
            "Request Header Fields Too Large",
            "The request head has more than 32 KiB or 100 fields."
        ),
        Fault::Expectation => {
            problem!(EXPECTATION_FAILED, 417, "Expectation Failed", "The only expectation is '100-continue'.")
        }
        Fault::Slow => {
            problem!(REQUEST_TIMEOUT, 408, "Request Timeout", "The client did not send its request in time.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_answer_is_a_problem_that_says_its_status() {
        let problems = OwnAnswer::ALL.map(problem).into_iter().chain(Fault::ALL.map(fault_problem));
        for (status, body) in problems {
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(json["status"], status.as_u16(), "{body}");
            assert_eq!(json["title"], status.canonical_reason().unwrap());
            assert_eq!(json["detail"], json["errors"]);
        }
    }

    #[test]
    fn only_a_short_visible_request_id_is_given_back() {
        let id = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            request_id(&Request::builder().header("x-request-id", value).body(()).unwrap())
        };
        assert_eq!(id(b"abc-1").unwrap(), "abc-1");
        assert_eq!(id(b""), None);
        assert_eq!(id(b"\xff"), None);
        assert_eq!(id(&[b'x'; 129]), None);
    }
}
