//! A request of HTTP/2 as the request of HTTP/1.1 that a backend gets (RFC 9113 section 8.3.1).
//!
//! hyper has checked what RFC 9113 asks; here is checked what HTTP/1.1 asks beyond that, so that no byte of a pseudo
//! header becomes a line of its own on a backend's connection.

use http::{HeaderValue, Method, Request, Uri, Version, header};

use crate::http1::{Fault, is_authority, is_expectation, is_target, names_same_place};

/// Changes target, Host and Cookie to what they are in HTTP/1.1.
pub fn to_http1<B>(request: &mut Request<B>) -> Result<(), Fault> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Fault::Method);
    }
    if request.headers().get(header::EXPECT).is_some_and(|value| !is_expectation(value.as_bytes())) {
        return Err(Fault::Expectation);
    }
    // hyper has no 100 for HTTP/2, so nothing may wait for one.
    request.headers_mut().remove(header::EXPECT);
    check_length(request)?;
    set_host(request)?;
    set_target(request)?;
    join_cookies(request);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// One Content-Length, of digits: hyper takes it again and again if it says the same.
fn check_length<B>(request: &Request<B>) -> Result<(), Fault> {
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if length.as_bytes().iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(Fault::ContentLength),
    }
}

/// `:authority` becomes Host; both may be given if they name the same place.
fn set_host<B>(request: &mut Request<B>) -> Result<(), Fault> {
    let authority = request.uri().authority().map(|a| a.as_str().to_owned());
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next(), &authority) {
        (_, Some(_), _) | (None, None, None) => return Err(Fault::Host),
        (Some(host), None, Some(authority)) if !names_same_place(host.as_bytes(), authority.as_bytes()) => {
            return Err(Fault::Host);
        }
        (_, None, Some(authority)) => HeaderValue::try_from(authority).map_err(|_| Fault::Host)?,
        (Some(host), None, None) => host.clone(),
    };
    if !is_authority(host.as_bytes()) {
        return Err(Fault::Host);
    }
    request.headers_mut().insert(header::HOST, host);
    Ok(())
}

/// `:path` becomes an origin-form target.
fn set_target<B>(request: &mut Request<B>) -> Result<(), Fault> {
    let target = request.uri().path_and_query().cloned().ok_or(Fault::Target)?;
    let text = target.as_str().as_bytes();
    let is_asterisk = text == b"*" && request.method() == Method::OPTIONS;
    if is_asterisk || (text.starts_with(b"/") && is_target(text)) {
        *request.uri_mut() = Uri::from(target);
        return Ok(());
    }
    Err(Fault::Target)
}

/// HTTP/2 may split Cookie; HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies<B>(request: &mut Request<B>) {
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        request.headers_mut().insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        headers.iter().fold(builder, |b, (name, value)| b.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn authority_path_and_cookies_become_what_they_are_in_http1() {
        let mut request =
            request("GET", "http://h:81/a%2F?b", &[("cookie", "a=1"), ("cookie", "b=2"), ("host", "H:81")]);
        to_http1(&mut request).unwrap();
        assert_eq!(request.uri().to_string(), "/a%2F?b");
        assert_eq!(request.headers()["host"], "h:81");
        assert_eq!(request.headers().get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        assert_eq!(request.version(), Version::HTTP_11);
    }

    #[test]
    fn what_http1_forbids_is_refused() {
        for (method, uri, headers, fault) in [
            ("CONNECT", "h:80", &[][..], Fault::Method),
            ("TRACE", "http://h/", &[], Fault::Method),
            ("GET", "/", &[], Fault::Host),
            ("GET", "http://h/", &[("host", "other")], Fault::Host),
            ("GET", "http://u@h/", &[], Fault::Host),
            ("GET", "/", &[("host", "a"), ("host", "a")], Fault::Host),
            ("GET", "/", &[("host", "a b")], Fault::Host),
            ("GET", "http://h/", &[("expect", "y")], Fault::Expectation),
            ("POST", "http://h/", &[("content-length", "3"), ("content-length", "3")], Fault::ContentLength),
            ("POST", "http://h/", &[("content-length", "3, 3")], Fault::ContentLength),
        ] {
            assert_eq!(to_http1(&mut request(method, uri, headers)), Err(fault), "{method} {uri} {headers:?}");
        }
    }
}
