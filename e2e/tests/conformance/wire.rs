//! What may stand on a backend's wire: an own, strict reader of HTTP/1.1 requests.
//!
//! Written from RFC 9110 and 9112, not from the proxy's code: it takes nothing that two servers could read differently.

/// A whole request as a backend received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Request line.
    pub(crate) line: String,
    /// Field names in lower case, and values.
    pub(crate) fields: Vec<(String, String)>,
    /// Body, without chunk framing.
    pub(crate) body: Vec<u8>,
    /// Trailer fields.
    pub(crate) trailers: Vec<(String, String)>,
    /// The connection it came on.
    pub(crate) connection: usize,
}

impl Seen {
    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Whether it asks to become a WebSocket.
    pub(crate) fn is_upgrade(&self) -> bool {
        !self.all("upgrade").is_empty()
    }
}

/// The head alone, and how many bytes it has.
pub(crate) type Head = (Seen, usize);

/// Fields of one connection that a proxy must not pass on.
const HOP_BY_HOP: [&str; 6] =
    ["keep-alive", "proxy-connection", "te", "http2-settings", "proxy-authenticate", "upgrade"];

/// Reads the head that `bytes` begin with; `None` while it is not complete.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some((lines, length)) = lines(bytes)? else { return Ok(None) };
    let Some((line, fields)) = lines.split_first() else { return Err("an empty line before a request".into()) };
    let fields = fields.iter().map(|line| field(line)).collect::<Result<Vec<_>, _>>()?;
    check_line(line)?;
    let seen = Seen { line: text(line), fields, body: Vec::new(), trailers: Vec::new(), connection: 0 };
    check_fields(&seen)?;
    Ok(Some((seen, length)))
}

/// Reads the request that `bytes` begin with and says where it ends; `None` while it is not complete.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<(Seen, usize)>, String> {
    let Some((mut seen, mut end)) = head(bytes)? else { return Ok(None) };
    if !seen.all("transfer-encoding").is_empty() {
        return chunks(&mut seen, bytes, end).map(|end| end.map(|end| (seen, end)));
    }
    let length = seen.all("content-length").first().map_or(Ok(0), |v| v.parse::<usize>());
    let length = length.map_err(|_| "Content-Length is no number")?;
    let Some(body) = bytes[end..].get(..length) else { return Ok(None) };
    seen.body = body.to_vec();
    end += length;
    Ok(Some((seen, end)))
}

fn chunks(seen: &mut Seen, bytes: &[u8], mut at: usize) -> Result<Option<usize>, String> {
    loop {
        let Some((line, length)) = one_line(&bytes[at..])? else { return Ok(None) };
        let valid = line.iter().all(u8::is_ascii_hexdigit);
        let size = valid.then(|| usize::from_str_radix(&text(line), 16)).and_then(Result::ok);
        // Below what any reader counts with, 2^63.
        let size = size.filter(|size| *size <= i64::MAX as usize);
        let size = size.ok_or_else(|| format!("not a chunk size: {:?}", text(line)))?;
        at += length;
        if size == 0 {
            let Some((lines, length)) = lines(&bytes[at..])? else { return Ok(None) };
            seen.trailers = lines.iter().map(|line| field(line)).collect::<Result<_, _>>()?;
            return Ok(Some(at + length));
        }
        match bytes.get(at..at + size + 2) {
            Some(chunk) if chunk.ends_with(b"\r\n") => seen.body.extend(&chunk[..size]),
            Some(_) => return Err("no line end after a chunk".into()),
            None => return Ok(None),
        }
        at += size + 2;
    }
}

fn check_line(line: &[u8]) -> Result<(), String> {
    let complaint = || format!("not a request line: {:?}", text(line));
    let parts: Vec<_> = line.split(|b| *b == b' ').collect();
    let [method, target, b"HTTP/1.1"] = parts[..] else { return Err(complaint()) };
    let origin = target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS");
    let visible = target.iter().all(|b| b.is_ascii_graphic() && *b != b'#');
    if is_token(method) && origin && visible { Ok(()) } else { Err(complaint()) }
}

fn check_fields(seen: &Seen) -> Result<(), String> {
    let count = |name: &str| seen.all(name).len();
    let complaint = |what: &str| Err(format!("{what}: {:?} {:?}", seen.line, seen.fields));
    if count("host") != 1 || !is_host(seen.all("host")[0]) {
        return complaint("not one valid Host");
    }
    let lengths = seen.all("content-length");
    let is_length = |v: &&str| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
    match (lengths.len(), count("transfer-encoding")) {
        (0, 0) => {}
        (1, 0) if is_length(&lengths[0]) => {}
        (0, 1) if seen.all("transfer-encoding")[0].eq_ignore_ascii_case("chunked") => {}
        _ => return complaint("not one unambiguous length"),
    }
    let websocket = seen.all("upgrade") == ["websocket"] && seen.all("connection") == ["upgrade"];
    let left = |name: &&str| count(name) > 0 && !(websocket && *name == "upgrade");
    if let Some(name) = HOP_BY_HOP.iter().find(|n| left(n)) {
        return complaint(&format!("{name} passed on"));
    }
    if count("connection") > 0 && !websocket {
        return complaint("Connection passed on");
    }
    if count("via") == 0 || count("x-forwarded-for") != 1 || count("x-forwarded-proto") != 1 {
        return complaint("the proxy says nothing of itself");
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&b))
}

/// Lines, and their length with the empty one that ends them.
type Lines<'a> = (Vec<&'a [u8]>, usize);

/// The lines up to an empty one.
fn lines(bytes: &[u8]) -> Result<Option<Lines<'_>>, String> {
    let (mut lines, mut at) = (Vec::new(), 0);
    while let Some((line, length)) = one_line(&bytes[at..])? {
        at += length;
        if line.is_empty() {
            return Ok(Some((lines, at)));
        }
        lines.push(line);
    }
    Ok(None)
}

fn one_line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let Some(lf) = bytes.iter().position(|b| *b == b'\n') else { return Ok(None) };
    match bytes[..lf].strip_suffix(b"\r") {
        Some(line) if !line.iter().any(|b| matches!(b, b'\r' | 0)) => Ok(Some((line, lf + 1))),
        _ => Err(format!("not a line: {:?}", text(&bytes[..lf]))),
    }
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let complaint = || format!("not a field: {:?}", text(line));
    let colon = line.iter().position(|b| *b == b':').ok_or_else(complaint)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let valid = is_token(name) && value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f));
    if valid { Ok((text(name).to_ascii_lowercase(), text(value))) } else { Err(complaint()) }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk's size is 1*HEXDIG (RFC 9112 section 7.1): large is not wrong, as long as it can be counted.
    #[test]
    fn large_chunks_are_waited_for() {
        let read = |size: &str| chunks(&mut Seen::default(), format!("{size}\r\nhello").as_bytes(), 0);
        for size in ["6", "fffffffff", "000000000000000006", "7fffffffffffffff"] {
            assert_eq!(read(size), Ok(None), "{size}");
        }
        for size in ["", "-1", "+5", "0x5", "8000000000000000", "10000000000000000"] {
            assert!(read(size).is_err(), "{size}");
        }
    }
}
