//! The head of a request (RFC 9112 sections 2 to 6, RFC 9110 section 7.2).

use std::ops::Range;

use super::{Fault, Field, Fields, Name, Options, chars, field, host};

/// Longest request line, bytes.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// Largest head, bytes.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most fields.
pub(super) const MAX_FIELDS: usize = 100;
/// How an absolute-form target begins, and whether it is to be asked for through TLS.
const SCHEMES: [(&[u8], bool); 2] = [(b"http://", false), (b"https://", true)];
/// Empty lines before a request that are passed over (RFC 9112 section 2.2).
const MAX_LEADING_LINES: usize = 2;

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes, perhaps 0.
    Length(u64),
    /// In chunks.
    Chunked,
}

impl Default for Framing {
    fn default() -> Self {
        Self::Length(0)
    }
}

/// What is known of a valid head. Places are counted from the request line's first byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes up to and with the empty line.
    pub length: usize,
    /// Bytes of empty lines before the request line, counted in `length`.
    pub leading: usize,
    /// How long the body is.
    pub framing: Framing,
    /// There is an Upgrade field.
    pub upgrade: bool,
    /// It is OPTIONS with an absolute target that has neither path nor query: about the server, not a resource.
    pub about_server: bool,
    /// It is HTTP/1.0.
    pub is_http_10: bool,
    /// What Connection says.
    pub options: Options,
    /// Whether an answer to Expect is waited for.
    pub expects: bool,
    /// The method ends here.
    pub method_end: usize,
    /// The target, as it was written.
    pub target: Range<usize>,
    /// Of an absolute-form target, the authority.
    pub authority: Option<Range<usize>>,
    /// Of an absolute-form target, whether its scheme is https.
    pub is_https: bool,
}

/// Checks the head that `bytes` begin with. `Ok(None)`: it is not complete, and nothing is wrong so far.
///
/// `seen` bytes were looked at by earlier calls; it is kept up to date, so that a head that trickles in costs no more
/// than one that comes at once. `fields` becomes the places of all fields.
pub fn scan_head(bytes: &[u8], seen: &mut usize, fields: &mut Vec<Field>) -> Result<Option<RequestHead>, Fault> {
    let leading = bytes.len() - without_leading_lines(bytes).len();
    let found = |head: RequestHead| Some(RequestHead { length: leading + head.length, leading, ..head });
    if let Some(whole) = whole_head(&bytes[leading..], *seen, MAX_HEAD_BYTES, fields) {
        let head = &bytes[leading..leading + whole.length];
        return check_fields(head, parse_request_line(&head[..whole.line])?, fields).map(found);
    }
    match end_of_head(bytes, seen, leading, MAX_HEAD_BYTES)? {
        Some(length) => check(&bytes[leading..length], fields).map(found),
        None if bytes.len() > MAX_HEAD_BYTES => Err(Fault::HeadTooLarge),
        None if *seen == leading && bytes.len() - leading > MAX_LINE_BYTES => Err(Fault::TargetTooLong),
        None => check_request_line(bytes).map(|()| None),
    }
}

/// Of a head that is not complete: who says `GET /` alone (HTTP/0.9) will not say more.
fn check_request_line(bytes: &[u8]) -> Result<(), Fault> {
    match field::next_line(without_leading_lines(bytes))? {
        Some((line, _)) => parse_line(line).map(drop),
        None => Ok(()),
    }
}

fn without_leading_lines(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..MAX_LEADING_LINES {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    rest
}

/// A head that is there.
pub(super) struct Whole {
    /// Bytes of its first line, with its end.
    pub(super) line: usize,
    /// Bytes of all of it.
    pub(super) length: usize,
}

/// A head that comes at once, with at most `most` bytes and no fault in its fields; the usual case. `fields` are its
/// fields then. What is wrong with others takes a second look.
pub(super) fn whole_head(bytes: &[u8], seen: usize, most: usize, fields: &mut Vec<Field>) -> Option<Whole> {
    if seen > 0 {
        return None;
    }
    let line = memchr::memchr(b'\n', bytes)? + 1;
    let mut at = line;
    fields.clear();
    while !bytes[at..].starts_with(b"\r\n") {
        let field = Field::read(bytes, at).filter(|_| fields.len() < MAX_FIELDS)?;
        at = field.end();
        fields.push(field);
    }
    Some(Whole { line, length: at + 2 }).filter(|whole| whole.length <= most)
}

/// Where the head ends, if it does. Every line that has ended must have ended well. `seen` is where the last, incomplete
/// line begins.
pub(super) fn end_of_head(bytes: &[u8], seen: &mut usize, leading: usize, most: usize) -> Result<Option<usize>, Fault> {
    *seen = (*seen).max(leading);
    while let Some(offset) = memchr::memchr(b'\n', &bytes[*seen..]) {
        let lf = *seen + offset;
        if lf == 0 || bytes[lf - 1] != b'\r' {
            return Err(Fault::LineEnd);
        }
        let line = *seen;
        *seen = lf + 1;
        if lf + 1 > most {
            return Err(Fault::HeadTooLarge);
        }
        if line + 1 == lf {
            return Ok(Some(lf + 1));
        }
    }
    Ok(None)
}

fn check(head: &[u8], fields: &mut Vec<Field>) -> Result<RequestHead, Fault> {
    let (line, rest) = field::next_line(head)?.ok_or(Fault::RequestLine)?;
    let found = parse_line(line)?;
    scan_fields(head, head.len() - rest.len(), fields)?;
    check_fields(head, found, fields)
}

fn check_fields(head: &[u8], mut found: RequestHead, fields: &[Field]) -> Result<RequestHead, Fault> {
    found.length = head.len();
    let fields = Fields { bytes: head, places: fields };
    let mut checks = Checks::default();
    for field in fields.places {
        checks.take(field.name, field.value_in(head), &mut found)?;
    }
    check_host(checks.host, head, &found)?;
    found.framing = checks.framing(found.is_http_10)?;
    Ok(found)
}

/// Finds all fields from `at` to the empty line, and says where that ends. `None`: it is not there.
pub(super) fn scan_fields(head: &[u8], mut at: usize, fields: &mut Vec<Field>) -> Result<Option<usize>, Fault> {
    fields.clear();
    while let Some(offset) = memchr::memchr(b'\n', &head[at..]) {
        if offset == 1 && head[at] == b'\r' {
            return Ok(Some(at + 2));
        }
        if fields.len() == MAX_FIELDS {
            return Err(Fault::HeadTooLarge);
        }
        fields.push(Field::parse(head, at, at + offset)?);
        at += offset + 1;
    }
    Ok(None)
}

/// Of a request line with its line end.
fn parse_request_line(line: &[u8]) -> Result<RequestHead, Fault> {
    let line = line.strip_suffix(b"\r\n").ok_or(Fault::LineEnd)?;
    // Where there is another CR there is a fault.
    parse_line(line).map_err(|fault| if memchr::memchr(b'\r', line).is_some() { Fault::LineEnd } else { fault })
}

/// Of a request line without its line end.
fn parse_line(line: &[u8]) -> Result<RequestHead, Fault> {
    if line.len() > MAX_LINE_BYTES {
        return Err(Fault::TargetTooLong);
    }
    let method_end = chars::token_length(line);
    let method = &line[..method_end];
    let rest = line[method_end..].strip_prefix(b" ").filter(|_| method_end > 0).ok_or(Fault::RequestLine)?;
    let space = memchr::memchr(b' ', rest).ok_or(Fault::RequestLine)?;
    let (target, version) = (&rest[..space], &rest[space + 1..]);
    let is_word = |text: &[u8]| chars::token_length(text) == text.len();
    if is_word(target) && is_word(version) && !target.is_empty() && !version.is_empty() && target != b"*" {
        return Err(Fault::Protocol);
    }
    let is_http_10 = parse_version(version)?;
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Fault::Method);
    }
    let at = method_end + 1;
    let absolute = parse_target(method, target)?;
    let authority = absolute.as_ref().map(|absolute| at + absolute.authority.start..at + absolute.authority.end);
    let has_no_path = authority.as_ref().is_some_and(|authority| authority.end == at + target.len());
    Ok(RequestHead {
        is_http_10,
        about_server: has_no_path && method == b"OPTIONS",
        method_end,
        target: at..at + target.len(),
        authority,
        is_https: absolute.is_some_and(|absolute| absolute.is_https),
        ..RequestHead::default()
    })
}

/// Whether it is HTTP/1.0.
fn parse_version(version: &[u8]) -> Result<bool, Fault> {
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Fault::Version)
        }
        _ => Err(Fault::RequestLine),
    }
}

/// A target in absolute form.
struct Absolute {
    authority: Range<usize>,
    is_https: bool,
}

/// `None` for the other forms.
fn parse_target(method: &[u8], target: &[u8]) -> Result<Option<Absolute>, Fault> {
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(None) } else { Err(Fault::Target) };
    }
    if !chars::is_target(target) {
        return Err(Fault::Target);
    }
    if target.starts_with(b"/") {
        return Ok(None);
    }
    let (start, is_https) = scheme(target).ok_or(Fault::Target)?;
    let after = &target[start..];
    let length = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
    let absolute = Absolute { authority: start..start + length, is_https };
    if host::is_authority(&after[..length]) { Ok(Some(absolute)) } else { Err(Fault::Target) }
}

/// The length of the scheme that an absolute-form target begins with, and whether it is https.
fn scheme(target: &[u8]) -> Option<(usize, bool)> {
    let begins = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let (scheme, is_https) = SCHEMES.into_iter().find(|(scheme, _)| begins(scheme))?;
    Some((scheme.len(), is_https))
}

/// The fields that decide where a message goes and where it ends.
#[derive(Default)]
struct Checks<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    chunked: bool,
}

impl<'a> Checks<'a> {
    fn take(&mut self, name: Name, value: &'a [u8], found: &mut RequestHead) -> Result<(), Fault> {
        match name {
            Name::Other => {}
            Name::Host if !host::is_authority(value) || self.host.replace(value).is_some() => return Err(Fault::Host),
            Name::Expect if !is_expectation(value) => return Err(Fault::Expectation),
            Name::Expect => found.expects = true,
            Name::Upgrade => found.upgrade = true,
            Name::Connection => found.options.take(value)?,
            Name::ContentLength => self.content_length(value)?,
            Name::TransferEncoding => self.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let number = decimal(value).filter(|_| self.content_length.is_none());
        self.content_length = Some(number.ok_or(Fault::ContentLength)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if std::mem::replace(&mut self.chunked, true) {
            return Err(Fault::TransferEncoding);
        }
        if value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(Fault::Coding) }
    }

    fn framing(&self, is_http_10: bool) -> Result<Framing, Fault> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Fault::ContentLength),
            (true, None) if is_http_10 => Err(Fault::TransferEncoding),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

fn check_host(host: Option<&[u8]>, head: &[u8], found: &RequestHead) -> Result<(), Fault> {
    match (host, found.authority.clone().map(|authority| &head[authority])) {
        (None, _) if !found.is_http_10 => Err(Fault::Host),
        (Some(host), Some(authority)) if !host::names_same_place(host, authority, found.is_https) => Err(Fault::Host),
        _ => Ok(()),
    }
}

/// The one there is (RFC 9110 section 10.1.1).
pub(crate) fn is_expectation(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// 1*DIGIT, far below what any length arithmetic could overflow on.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| valid)?.parse().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(head: &str) -> Result<Option<RequestHead>, Fault> {
        scan_head(head.as_bytes(), &mut 0, &mut Vec::new())
    }

    fn ok(head: &str) -> RequestHead {
        scan(head)
            .unwrap_or_else(|fault| panic!("{head:?}: {fault:?}"))
            .unwrap_or_else(|| panic!("{head:?} is partial"))
    }

    #[test]
    fn plain_heads_pass() {
        for line in [
            "GET / HTTP/1.1",
            "get /a%2Fb/../c?x=%zz&&y=\"{|}' HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "M-SEARCH http://h/x HTTP/1.1",
            "GET http://H:80?q HTTP/1.1",
            "GET HTTPS://H/ HTTP/1.1",
        ] {
            let head = ok(&format!("{line}\r\nhost: h\r\nX:\t v \t\r\nY:\r\n\r\nrest"));
            assert_eq!(head.framing, Framing::Length(0));
        }
        assert_eq!(ok("GET / HTTP/1.0\r\n\r\n").length, 18);
        assert_eq!(ok("\r\n\r\nGET / HTTP/1.0\r\n\r\n").length, 22);
        assert_eq!(ok("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n\r\n").framing, Framing::Length(7));
        assert_eq!(ok("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked \r\n\r\n").framing, Framing::Chunked);
        assert!(ok("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n").upgrade);
        let is_https = |line: &str| ok(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")).is_https;
        assert!(is_https("GET https://h/") && !is_https("GET http://h/") && !is_https("GET /"));
        let about_server = |line: &str| ok(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")).about_server;
        assert!(about_server("OPTIONS http://h"));
        for line in ["OPTIONS http://h/", "OPTIONS http://h?q", "OPTIONS http://h/h", "GET http://h", "OPTIONS *"] {
            assert!(!about_server(line), "{line}");
        }
    }

    #[test]
    fn request_lines_that_are_none() {
        for (line, fault) in [
            ("GET /", Fault::RequestLine),
            ("INVALID CONNECTION PREFACE", Fault::Protocol),
            ("HELO mail example.com", Fault::Protocol),
            ("GET h HTTP", Fault::Protocol),
            ("OPTIONS * HTTP", Fault::RequestLine),
            ("GET h HTTP/1", Fault::RequestLine),
            ("GET / HTTP", Fault::RequestLine),
            ("GET  / HTTP/1.1", Fault::RequestLine),
            ("GET / HTTP/1.1 ", Fault::RequestLine),
            (" GET / HTTP/1.1", Fault::RequestLine),
            ("GET\t/ HTTP/1.1", Fault::RequestLine),
            ("G(T / HTTP/1.1", Fault::RequestLine),
            ("GET / http/1.1", Fault::RequestLine),
            ("GET / HTTP/1.10", Fault::RequestLine),
            ("GET / HTTP/2.0", Fault::Version),
            ("GET / HTTP/9.9", Fault::Version),
            ("GET / HTTP/1.2", Fault::Version),
            ("GET * HTTP/1.1", Fault::Target),
            ("GET a HTTP/1.1", Fault::Target),
            ("GET /a#b HTTP/1.1", Fault::Target),
            ("GET /\u{e9} HTTP/1.1", Fault::Target),
            ("GET /\u{0} HTTP/1.1", Fault::Target),
            ("GET ftp://h/ HTTP/1.1", Fault::Target),
            ("GET http:// HTTP/1.1", Fault::Target),
            ("GET https://?q HTTP/1.1", Fault::Target),
            ("GET https:/h HTTP/1.1", Fault::Target),
            ("GET http://u@h/ HTTP/1.1", Fault::Target),
            ("CONNECT h:80 HTTP/1.1", Fault::Method),
            ("TRACE / HTTP/1.1", Fault::Method),
        ] {
            assert_eq!(scan(&format!("{line}\r\nHost: h\r\n\r\n")), Err(fault), "{line}");
        }
    }

    #[test]
    fn fields_that_are_refused() {
        for (fields, fault) in [
            ("", Fault::Host),
            ("Host: h\r\nHost: h\r\n", Fault::Host),
            ("Host:\r\n", Fault::Host),
            ("Host: a:b\r\n", Fault::Host),
            ("Host: u@a\r\n", Fault::Host),
            ("Host: a#b\r\n", Fault::Host),
            ("Host: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: +5\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: -5\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: 5,5\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length:\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: 0x5\r\n", Fault::ContentLength),
            ("Host: h\r\nContent-Length: 18446744073709551621\r\n", Fault::ContentLength),
            ("Host: h\r\nTransfer-Encoding: gzip, chunked\r\n", Fault::Coding),
            ("Host: h\r\nTransfer-Encoding: chunked, chunked\r\n", Fault::Coding),
            ("Host: h\r\nTransfer-Encoding: identity\r\n", Fault::Coding),
            ("Host: h\r\nTransfer-Encoding: xchunked\r\n", Fault::Coding),
            ("Host: h\r\nTransfer-Encoding:\r\n", Fault::Coding),
            ("Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Fault::TransferEncoding),
            ("Host: h\r\nTransfer-Encoding : chunked\r\n", Fault::Field),
            ("Host: h\r\nTransfer-Encoding\u{b}: chunked\r\n", Fault::Field),
            ("Host: h\r\nTransfer-Encoding: \u{b}chunked\r\n", Fault::Field),
            ("Host: h\r\n folded: x\r\n", Fault::Field),
            ("Host: h\r\nX: a\r\n b\r\n", Fault::Field),
            ("Host: h\r\nX: a\u{0}b\r\n", Fault::Field),
            ("Host: h\r\n: x\r\n", Fault::Field),
            ("Host: h\r\nno colon\r\n", Fault::Field),
            ("Host: h\r\nX: a\rb\r\n", Fault::LineEnd),
            ("Host: h\nX: a\r\n", Fault::LineEnd),
            ("Host: h\r\r\n", Fault::LineEnd),
            ("Host: h\r\nExpect: y\r\n", Fault::Expectation),
        ] {
            assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{fields}\r\n")), Err(fault), "{fields:?}");
        }
        assert_eq!(scan("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Fault::TransferEncoding));
        assert_eq!(scan("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), Err(Fault::Host));
        assert_eq!(scan("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), Err(Fault::Host));
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(scan(&format!("GET /{long}")), Err(Fault::TargetTooLong));
        assert_eq!(scan(&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n")), Err(Fault::TargetTooLong));
        let fields = "X: y\r\n".repeat(MAX_FIELDS);
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")), Err(Fault::HeadTooLarge));
        let large = "x".repeat(MAX_HEAD_BYTES);
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {large}")), Err(Fault::HeadTooLarge));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {large}\r\n\r\n")), Err(Fault::HeadTooLarge));
    }

    #[test]
    fn a_bare_line_feed_is_refused_before_the_head_is_complete() {
        assert_eq!(scan("GET / HTTP/1.1\n"), Err(Fault::LineEnd));
        assert_eq!(scan("\nGET / HTTP/1.1\r\n"), Err(Fault::LineEnd));
    }

    #[test]
    fn a_head_may_come_in_any_pieces() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
        let (mut seen, mut fields) = (0, Vec::new());
        for end in 0..head.len() {
            assert_eq!(scan_head(&head[..end], &mut seen, &mut fields), Ok(None), "{end}");
        }
        assert_eq!(scan_head(head, &mut seen, &mut fields).unwrap().unwrap().framing, Framing::Length(3));
    }
}
