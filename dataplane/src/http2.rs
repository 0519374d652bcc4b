//! A request of HTTP/2 as the request of HTTP/1.1 that a backend gets (RFC 9113 section 8.3.1).
//!
//! hyper has checked what RFC 9113 asks; here is checked what HTTP/1.1 asks beyond that, so that no byte of a pseudo
//! header becomes a line of its own on a backend's connection.

use http::{Method, header, request::Parts};

use crate::http1::{Fault, is_authority, is_expectation, is_target, names_same_place, put_field};

const UPGRADE: &[u8] = b"connection: upgrade\r\nupgrade: websocket\r\n";

/// Writes the head of a request as HTTP/1.1 has it. `has_body` says whether one follows. With a `websocket_key` an extended
/// CONNECT becomes the upgrade that it stands for (RFC 8441 section 5).
///
/// # Errors
/// What is wrong with it.
pub fn write_head(parts: &Parts, has_body: bool, websocket_key: Option<&str>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let method = match (&parts.method, websocket_key) {
        (&Method::CONNECT, Some(_)) => &Method::GET,
        (&(Method::CONNECT | Method::TRACE), _) => return Err(Fault::Method),
        (method, _) => method,
    };
    if parts.headers.get(header::EXPECT).is_some_and(|value| !is_expectation(value.as_bytes())) {
        return Err(Fault::Expectation);
    }
    let has_length = has_one_length(parts)?;
    if has_length && websocket_key.is_some() {
        return Err(Fault::ContentLength);
    }
    let host = host(parts, is_https(parts)?)?;
    for part in [method.as_str().as_bytes(), b" ", target(parts)?, b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    put_field(out, "host", host);
    put_fields(out, parts);
    if let Some(key) = websocket_key {
        out.extend_from_slice(UPGRADE);
        put_field(out, "sec-websocket-key", key.as_bytes());
    }
    if has_body && !has_length {
        put_field(out, "transfer-encoding", b"chunked");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether there is one Content-Length, of digits: hyper takes it again and again if it says the same.
fn has_one_length(parts: &Parts) -> Result<bool, Fault> {
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(false),
        (Some(length), None) if length.as_bytes().iter().all(u8::is_ascii_digit) => Ok(true),
        _ => Err(Fault::ContentLength),
    }
}

/// Whether `:scheme` is https; it may be http too. Without an authority it is not known, and does not matter.
fn is_https(parts: &Parts) -> Result<bool, Fault> {
    match parts.uri.scheme_str() {
        None | Some("http") => Ok(false),
        Some("https") => Ok(true),
        Some(_) => Err(Fault::Target),
    }
}

/// `:authority` becomes Host; both may be given if they name the same place.
fn host(parts: &Parts, is_https: bool) -> Result<&[u8], Fault> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(|host| host.as_bytes());
    let host = match (hosts.next(), hosts.next(), authority) {
        (_, Some(_), _) | (None, None, None) => return Err(Fault::Host),
        (Some(host), None, Some(authority)) if !names_same_place(host, authority, is_https) => return Err(Fault::Host),
        (_, None, Some(authority)) => authority,
        (Some(host), None, None) => host,
    };
    if is_authority(host) { Ok(host) } else { Err(Fault::Host) }
}

/// `:path` becomes an origin-form target.
fn target(parts: &Parts) -> Result<&[u8], Fault> {
    let target = parts.uri.path_and_query().ok_or(Fault::Target)?.as_str().as_bytes();
    let is_asterisk = target == b"*" && parts.method == Method::OPTIONS;
    if is_asterisk || (target.starts_with(b"/") && is_target(target)) { Ok(target) } else { Err(Fault::Target) }
}

fn put_fields(out: &mut Vec<u8>, parts: &Parts) {
    for (name, value) in &parts.headers {
        // hyper has no 100 for HTTP/2, so nothing may wait for one. The key of a WebSocket is of one connection.
        if !matches!(*name, header::HOST | header::EXPECT | header::COOKIE | header::SEC_WEBSOCKET_KEY) {
            put_field(out, name.as_str(), value.as_bytes());
        }
    }
    // HTTP/2 may split Cookie; HTTP/1.1 may not (RFC 9113 section 8.2.3).
    let cookies: Vec<_> = parts.headers.get_all(header::COOKIE).iter().map(|cookie| cookie.as_bytes()).collect();
    if !cookies.is_empty() {
        put_field(out, "cookie", &cookies.join(&b"; "[..]));
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;
    use crate::http1::{Framing, Head};

    fn written(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Head, Fault> {
        let builder = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        let builder = headers.iter().fold(builder, |b, (name, value)| b.header(*name, *value));
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let mut head = Head::default();
        head.write(|out| write_head(&parts, true, None, out)).map(|()| head)
    }

    #[test]
    fn authority_path_and_cookies_become_what_they_are_in_http1() {
        let headers =
            [("cookie", "a=1"), ("cookie", "b=2"), ("host", "H:81"), ("x-a", "1"), ("expect", "100-continue")];
        let head = written("GET", "http://h:81/a%2F?b", &headers).unwrap();
        assert_eq!(
            std::str::from_utf8(head.bytes()).unwrap(),
            "GET /a%2F?b HTTP/1.1\r\nhost: h:81\r\nx-a: 1\r\ncookie: a=1; b=2\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let head = written("POST", "http://h/", &[("content-length", "3")]).unwrap();
        assert_eq!(head.facts().framing, Framing::Length(3));
    }

    #[test]
    fn an_extended_connect_becomes_an_upgrade() {
        let builder = Request::connect("https://h/chat?a").header("sec-websocket-key", "theirs");
        let (parts, ()) = builder.header("sec-websocket-version", "13").body(()).unwrap().into_parts();
        let mut head = Head::default();
        head.write(|out| write_head(&parts, false, Some("ours"), out)).unwrap();
        assert!(head.wants_websocket() && head.get("sec-websocket-key") == Some(b"ours"));
        assert_eq!((head.target(), head.get("sec-websocket-version")), (&b"/chat?a"[..], Some(&b"13"[..])));
        let refused = head.write(|out| write_head(&parts, false, None, out));
        assert_eq!(refused, Err(Fault::Method));
    }

    #[test]
    fn what_http1_forbids_is_refused() {
        for (method, uri, headers, fault) in [
            ("CONNECT", "h:80", &[][..], Fault::Method),
            ("TRACE", "http://h/", &[], Fault::Method),
            ("GET", "/", &[], Fault::Host),
            ("GET", "http://h/", &[("host", "other")], Fault::Host),
            ("GET", "http://u@h/", &[], Fault::Host),
            ("GET", "ftp://h/", &[], Fault::Target),
            ("GET", "https://h/", &[("host", "h:80")], Fault::Host),
            ("GET", "/", &[("host", "a"), ("host", "a")], Fault::Host),
            ("GET", "/", &[("host", "a b")], Fault::Host),
            ("GET", "http://h/", &[("expect", "y")], Fault::Expectation),
            ("POST", "http://h/", &[("content-length", "3"), ("content-length", "3")], Fault::ContentLength),
            ("POST", "http://h/", &[("content-length", "3, 3")], Fault::ContentLength),
        ] {
            assert_eq!(written(method, uri, headers).err(), Some(fault), "{method} {uri} {headers:?}");
        }
    }
}
