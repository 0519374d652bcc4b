//! The head of a response (RFC 9112 sections 4 and 6.3).

use std::ops::Range;

use super::{
    Fault, Field, Fields, Name, Options, chars, field,
    head::{decimal, end_of_head, scan_fields, whole_head},
};

/// Largest head of a response, bytes.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024 - 1;

/// What claims to be a response and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a response of HTTP/1")]
pub struct Garbage;

impl From<Fault> for Garbage {
    fn from(_: Fault) -> Self {
        Self
    }
}

/// Where the body of a response ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is none.
    #[default]
    None,
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What is known of a valid head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes up to and with the empty line.
    pub length: usize,
    /// 100 to 999.
    pub status: u16,
    /// Where the body ends.
    pub framing: ResponseFraming,
    /// It is HTTP/1.0.
    pub is_http_10: bool,
    /// What Connection says.
    pub options: Options,
    /// There is a Date.
    pub has_date: bool,
    /// Status and reason, as they were written.
    pub status_line: Range<usize>,
}

impl ResponseHead {
    /// Whether another response to the same request follows (RFC 9110 section 15.2).
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Checks the head that `bytes` begin with. `Ok(None)`: it is not complete, and nothing is wrong so far. `to_head` says
/// whether the request was HEAD; `seen` and `fields` are as for [`super::scan_head`].
///
/// # Errors
/// It is none.
pub fn scan_response(
    bytes: &[u8],
    seen: &mut usize,
    to_head: bool,
    fields: &mut Vec<Field>,
) -> Result<Option<ResponseHead>, Garbage> {
    if let Some(whole) = whole_head(bytes, *seen, MAX_RESPONSE_HEAD_BYTES, fields) {
        return check(&bytes[..whole.length], whole.line, to_head, fields).map(Some);
    }
    match end_of_head(bytes, seen, 0, MAX_RESPONSE_HEAD_BYTES)? {
        Some(length) => {
            let line_end = memchr::memchr(b'\n', bytes).map_or(length, |lf| lf + 1);
            scan_fields(&bytes[..length], line_end, fields)?;
            check(&bytes[..length], line_end, to_head, fields).map(Some)
        }
        None if bytes.len() > MAX_RESPONSE_HEAD_BYTES => Err(Garbage),
        None => check_beginning(bytes).map(|()| None),
    }
}

/// Of a head that is not complete: who does not say HTTP will not say more.
fn check_beginning(bytes: &[u8]) -> Result<(), Garbage> {
    match field::next_line(bytes)? {
        Some((line, _)) => parse_line(line).map(drop),
        None if b"HTTP/1.".iter().zip(bytes).all(|(expected, byte)| expected == byte) => Ok(()),
        None => Err(Garbage),
    }
}

/// The first line, with its end, is so long.
fn check(head: &[u8], line_end: usize, to_head: bool, fields: &[Field]) -> Result<ResponseHead, Garbage> {
    let line = head[..line_end].strip_suffix(b"\r\n").ok_or(Garbage)?;
    let mut found = ResponseHead { length: head.len(), ..parse_line(line)? };
    let fields = Fields { bytes: head, places: fields };
    let mut length = None;
    let mut chunked = false;
    for field in fields.places {
        let value = field.value_in(head);
        match field.name {
            Name::ContentLength if length.is_some() => return Err(Garbage),
            Name::ContentLength => length = Some(decimal(value).ok_or(Garbage)?),
            Name::TransferEncoding if chunked || !value.eq_ignore_ascii_case(b"chunked") => return Err(Garbage),
            Name::TransferEncoding => chunked = true,
            Name::Connection => found.options.take(value)?,
            Name::Date => found.has_date = true,
            _ => {}
        }
    }
    found.framing = framing(&found, to_head, length, chunked)?;
    Ok(found)
}

/// RFC 9112 section 6.3, but for what is ambiguous: that is refused even where there is no body.
fn framing(head: &ResponseHead, to_head: bool, length: Option<u64>, chunked: bool) -> Result<ResponseFraming, Garbage> {
    let framing = match (chunked, length) {
        (true, Some(_)) => return Err(Garbage),
        (true, None) if head.is_http_10 => return Err(Garbage),
        (true, None) => ResponseFraming::Chunked,
        (false, Some(0)) => ResponseFraming::None,
        (false, Some(length)) => ResponseFraming::Length(length),
        (false, None) => ResponseFraming::UntilClose,
    };
    let has_no_body = to_head || head.status < 200 || matches!(head.status, 204 | 304);
    Ok(if has_no_body { ResponseFraming::None } else { framing })
}

/// `HTTP-version SP status-code SP [ reason-phrase ]`; the space before an empty reason may be missing.
fn parse_line(line: &[u8]) -> Result<ResponseHead, Garbage> {
    let (version, rest) = line.split_at_checked(9).ok_or(Garbage)?;
    let is_http_10 = match version {
        b"HTTP/1.1 " => false,
        b"HTTP/1.0 " => true,
        _ => return Err(Garbage),
    };
    let (status, reason) = match rest {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] => {
            (u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), reason)
        }
        _ => return Err(Garbage),
    };
    let sound = reason.is_empty() || (reason[0] == b' ' && chars::is_value(reason));
    if !sound {
        return Err(Garbage);
    }
    Ok(ResponseHead { status, is_http_10, status_line: version.len()..line.len(), ..ResponseHead::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(head: &str) -> Result<Option<ResponseHead>, Garbage> {
        scan_response(head.as_bytes(), &mut 0, false, &mut Vec::new())
    }

    fn framing_of(fields: &str) -> ResponseFraming {
        scan(&format!("HTTP/1.1 200 OK\r\n{fields}\r\nrest")).unwrap().unwrap().framing
    }

    #[test]
    fn plain_heads_pass() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", 200),
            ("HTTP/1.1 200 ", 200),
            ("HTTP/1.1 200", 200),
            ("HTTP/1.0 404 Not: Found!", 404),
            ("HTTP/1.1 999 \u{e9}", 999),
        ] {
            let head = scan(&format!("{line}\r\nX: y\r\n\r\n")).unwrap().unwrap();
            assert_eq!((head.status, head.length, head.is_http_10), (status, line.len() + 10, line.contains("1.0")));
            assert!(format!("HTTP/1.1 {}", &line[head.status_line.clone()]).contains(&status.to_string()));
        }
        let head = scan("HTTP/1.1 103 \r\nConnection: close, X\r\ndate: now\r\n\r\n").unwrap().unwrap();
        assert!(head.is_interim() && head.has_date && head.options.close && head.options.nominates);
    }

    #[test]
    fn a_body_ends_where_the_fields_say() {
        assert_eq!(framing_of(""), ResponseFraming::UntilClose);
        assert_eq!(framing_of("Content-Length: 007\r\n"), ResponseFraming::Length(7));
        assert_eq!(framing_of("Content-Length: 0\r\n"), ResponseFraming::None);
        assert_eq!(framing_of("Transfer-Encoding: \tChunked \r\n"), ResponseFraming::Chunked);
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        for line in ["100 Continue", "103 Early Hints", "101 Switching Protocols", "204 No Content", "304 Not Modified"]
        {
            for field in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""] {
                let head = scan(&format!("HTTP/1.1 {line}\r\n{field}\r\n")).unwrap().unwrap();
                assert_eq!(head.framing, ResponseFraming::None, "{line} {field}");
            }
        }
        let head = scan_response(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &mut 0, true, &mut Vec::new());
        assert_eq!(head.unwrap().unwrap().framing, ResponseFraming::None);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for line in [
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 099 Low",
            "HTTP/1.1 +20 OK",
            "HTTP/1.1 abc",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1  200 OK",
            "HTTP/1.1\t200 OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 O\0K",
            "HTTP/1.1 200 O\rK",
            "HTTP/1.2 200 OK",
            "HTTP/2.0 200 OK",
            "HTTP/0.9 200 OK",
            "http/1.1 200 OK",
            " HTTP/1.1 200 OK",
            "\r\nHTTP/1.1 200 OK",
            "SSH-2.0-x",
            "GET / HTTP/1.1",
        ] {
            assert_eq!(scan(&format!("{line}\r\nX: y\r\n\r\n")), Err(Garbage), "{line:?}");
        }
        for fields in [
            "X : y",
            "X y",
            ": y",
            " X: y",
            "X: a\r\n b",
            "X: a\rb",
            "X: a\0b",
            "X: a\nY: b",
            "Content-Length: 2\r\nContent-Length: 2",
            "Content-Length: 2,2",
            "Content-Length: +2",
            "Content-Length:",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
        ] {
            for line in ["HTTP/1.1 200 OK", "HTTP/1.1 304 Not Modified"] {
                assert_eq!(scan(&format!("{line}\r\n{fields}\r\n\r\n")), Err(Garbage), "{line} {fields:?}");
            }
        }
        assert_eq!(scan("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Garbage));
    }

    #[test]
    fn sizes_are_bounded() {
        let fields = "X: y\r\n".repeat(101);
        assert_eq!(scan(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")), Err(Garbage));
        let large = "x".repeat(MAX_RESPONSE_HEAD_BYTES);
        assert_eq!(scan(&format!("HTTP/1.1 200 OK\r\nX: {large}")), Err(Garbage));
        assert_eq!(scan(&format!("HTTP/1.1 200 OK\r\nX: {large}\r\n\r\n")), Err(Garbage));
    }

    #[test]
    fn what_cannot_become_a_response_is_refused_before_it_is_complete() {
        for beginning in ["S", "HTTP/2", "220 mail\r\n", "HTTP/1.1 200 OK\n", "\x15\x03\x01"] {
            assert_eq!(scan(beginning), Err(Garbage), "{beginning:?}");
        }
    }

    #[test]
    fn a_head_may_come_in_any_pieces() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\n";
        let (mut seen, mut fields) = (0, Vec::new());
        for end in 0..head.len() {
            assert_eq!(scan_response(&head[..end], &mut seen, false, &mut fields), Ok(None), "{end}");
        }
        let found = scan_response(head, &mut seen, false, &mut fields).unwrap().unwrap();
        assert_eq!((found.framing, fields.len()), (ResponseFraming::Length(3), 2));
    }
}
