//! A request as it goes to a backend.

use http::{HeaderValue, Method, Request, Uri, Version, header, request};
use http_body::Body;
use hyper::body::Incoming;

use super::{forward::Forward, headers};
use crate::{
    metrics::OwnAnswer,
    upstream::{self, RequestBody, SendError},
};

/// A request that can be sent, perhaps more than once.
pub(super) struct Outgoing {
    pub(super) request: Request<RequestBody>,
    /// The head, kept where sending the request twice does no harm.
    pub(super) replay: Option<request::Parts>,
    /// It asks to become a WebSocket.
    pub(super) websocket: bool,
}

impl Outgoing {
    /// Turns a client's request into the proxy's.
    pub(super) fn new(forward: &Forward<'_>, request: Request<Incoming>, websocket: bool) -> Result<Self, OwnAnswer> {
        let (mut parts, body) = request.into_parts();
        origin_form(&mut parts)?;
        // HTTP/1.0 does not know it, and without a body it says nothing (RFC 9110 section 10.1.1).
        let knows_expect = parts.version == Version::HTTP_11 && !body.is_end_stream();
        if !knows_expect {
            parts.headers.remove(header::EXPECT);
        }
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        headers::strip_hop_by_hop(&mut parts.headers);
        let peer_trusted = forward.snapshot.client_rules.trusts(forward.peer.ip());
        let forwarded = headers::Forwarded { peer: forward.peer_ip, peer_trusted, scheme: forward.scheme };
        headers::add_forwarded(&mut parts.headers, &forwarded);
        if websocket {
            headers::insert_websocket(&mut parts.headers);
        }
        if body.is_end_stream() {
            let replay = (is_idempotent(&parts.method) && !websocket).then(|| parts.clone());
            return Ok(Self { request: Request::from_parts(parts, RequestBody::empty()), replay, websocket });
        }
        if body.size_hint().exact().is_none() {
            // hyper sends a body of unknown length in chunks, but with GET and the like only if it is told to.
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let body = RequestBody::new(body, forward.answer_due.clone(), forward.worker.options.response_timeout);
        let mut request = Request::from_parts(parts, body);
        if request.headers().contains_key(header::EXPECT) {
            upstream::hold_until_asked(&mut request, forward.worker.timers.deadline());
        }
        Ok(Self { request, replay: None, websocket })
    }

    /// What is left of a request that got no answer: itself if it never left, or its copy.
    pub(super) fn again(error: SendError, replay: Option<request::Parts>, websocket: bool) -> Option<Box<Self>> {
        if error.error.is_parse() {
            // The backend did answer, though not in HTTP: it may have done what was asked.
            return None;
        }
        if let Some(request) = error.unsent {
            return Some(Box::new(Self { request, replay, websocket }));
        }
        let parts = replay?;
        let request = Request::from_parts(parts.clone(), RequestBody::empty());
        Some(Box::new(Self { request, replay: Some(parts), websocket }))
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Turns an absolute-form target into origin-form, its authority into Host (RFC 9112 section 3.2.2). Bytes of path and
/// query stay as they are.
fn origin_form(parts: &mut request::Parts) -> Result<(), OwnAnswer> {
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| OwnAnswer::BadRequest)?;
        parts.headers.insert(header::HOST, host);
        parts.uri = match parts.uri.path_and_query() {
            Some(path_and_query) => Uri::from(path_and_query.clone()),
            None => Uri::from_static("/"),
        };
    }
    Ok(())
}
