//! A request as it goes onto an HTTP/1.1 wire, as one of HTTP/2 (RFC 9113 section 8.3.1).
//!
//! The head is one that Balancer wrote: what is in it was checked when it came in.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{HOST, TE},
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::http1::{Framing, Name};

/// A request, and what its head says of the rest.
pub(super) struct Asked {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    /// The backend is to be asked whether it wants the body.
    pub(super) expects: bool,
    pub(super) is_head: bool,
}

/// The request with this head, which ends with the empty line. `None`: it is none.
pub(super) fn read(head: &[u8], scheme: Scheme) -> Option<Asked> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (method, target) = (Method::from_bytes(words.next()?).ok()?, target(words.next()?)?);
    let mut headers = HeaderMap::new();
    let (mut framing, mut expects, mut host) = (Framing::Length(0), false, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match Name::of(name) {
            Name::Host => host = Some(value),
            Name::Expect => expects = true,
            Name::TransferEncoding => framing = Framing::Chunked,
            Name::ContentLength => framing = Framing::Length(std::str::from_utf8(value).ok()?.parse().ok()?),
            _ => {}
        }
        if is_kept(name) {
            headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
    }
    // What a client says of trailers ends here; what is said now is ours: they are passed on (gRPC servers insist).
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let is_head = method == Method::HEAD;
    let mut request = Request::new(());
    (*request.method_mut(), *request.headers_mut()) = (method, headers);
    address(&mut request, target, scheme, host?);
    Some(Asked { request, framing, expects, is_head })
}

/// Byte for byte, but for `"` in a query: the library does not take it, and what it becomes is the same (RFC 3986 has no
/// `"` in a URI).
fn target(bytes: &[u8]) -> Option<PathAndQuery> {
    let escaped = || std::str::from_utf8(bytes).ok()?.replace('"', "%22").try_into().ok();
    PathAndQuery::try_from(bytes).ok().or_else(escaped)
}

/// What HTTP/2 has no place for, and what is said to us and not to the backend.
fn is_kept(name: &[u8]) -> bool {
    let name = Name::of(name);
    !(name.is_hop_by_hop() || matches!(name, Name::Expect | Name::Host))
}

/// Host becomes `:authority`, if it can.
fn address(request: &mut Request<()>, target: PathAndQuery, scheme: Scheme, host: &[u8]) {
    let Ok(authority) = Authority::try_from(host) else {
        // A host that is none to the library goes as it came. It then takes the request for one of HTTP/1.1.
        *request.uri_mut() = target.into();
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().extend(HeaderValue::from_bytes(host).map(|host| (HOST, host)));
        return;
    };
    let mut parts = http::uri::Parts::default();
    (parts.scheme, parts.authority, parts.path_and_query) = (Some(scheme), Some(authority), Some(target));
    // With all three it is whole.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Asked {
        read(head.as_bytes(), Scheme::HTTPS).unwrap()
    }

    #[test]
    fn the_parts_of_a_request_are_where_http2_has_them() {
        let asked = asked(
            "POST /a%2Fb//\"?x={}|[] HTTP/1.1\r\nHost: h:81\r\nX-Two: 1\r\nx-two:  2 \r\nTransfer-Encoding: chunked\r\n\
             Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let request = &asked.request;
        assert_eq!((request.method().as_str(), asked.framing, asked.expects), ("POST", Framing::Chunked, true));
        assert_eq!(request.uri().to_string(), "https://h:81/a%2Fb//\"?x={}|[]");
        assert_eq!(request.headers().get_all("x-two").iter().collect::<Vec<_>>(), ["1", "2"]);
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-two", "te"]);
    }

    #[test]
    fn lengths_and_asterisks_stay() {
        let with_body = asked("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n");
        assert_eq!(
            (with_body.framing, &with_body.request.headers()["content-length"]),
            (Framing::Length(7), &"7".parse().unwrap())
        );
        let options = asked("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((options.request.uri().path(), options.framing), ("*", Framing::Length(0)));
        assert_eq!(asked("GET /?\" HTTP/1.1\r\nHost: h\r\n\r\n").request.uri().query(), Some("%22"));
        assert!(asked("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").is_head);
    }

    #[test]
    fn a_host_that_the_library_does_not_know_goes_as_it_came() {
        for host in ["", "a%20b"] {
            let request = asked(&format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).request;
            assert_eq!(
                (request.uri().to_string().as_str(), &request.headers()["host"]),
                ("/x", &host.parse().unwrap())
            );
        }
    }
}
