//! Field lines of HTTP/1 as HTTP/2 has them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Adds all field lines to `map`. What is no field, like a status line, is passed over.
pub(super) fn append(map: &mut HeaderMap, lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        // Both were checked when they came in; a status line with a colon has a space before it.
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_fields_and_a_status_line_none() {
        let mut map = HeaderMap::new();
        append(&mut map, b"HTTP/1.1 200 Jolly: Good\r\nSet-Cookie: a=1\r\nset-cookie:b=2 \r\nX-E:\r\n");
        assert_eq!(map.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!((map.len(), map["x-e"].as_bytes()), (3, &b""[..]));
    }
}
