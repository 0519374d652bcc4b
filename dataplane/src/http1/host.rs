//! Host and authority: `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use super::chars;

/// Whether it is a host with an optional port, without user information. An empty host is none.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    match bytes.split_at(chars::host_length(bytes)) {
        // The usual case: a name in which nothing is escaped.
        ([_, ..], []) => return true,
        ([_, ..], [b':', port @ ..]) => return is_port(port),
        _ => {}
    }
    let (host, port) = split_port(bytes);
    port.is_none_or(is_port) && (is_ip_literal(host) || (!host.is_empty() && is_reg_name(host)))
}

/// Whether two valid authorities of one scheme, `https` or `http`, name the same place.
pub(crate) fn names_same_place(a: &[u8], b: &[u8], is_https: bool) -> bool {
    let ((a_host, a_port), (b_host, b_port)) = (split_port(a), split_port(b));
    // An empty port, and none, is the scheme's.
    let of_scheme: &[u8] = if is_https { b"443" } else { b"80" };
    let effective = |port: Option<&[u8]>| port.filter(|p| !p.is_empty()).unwrap_or(of_scheme) == of_scheme;
    let same_port = a_port == b_port || (effective(a_port) && effective(b_port));
    a_host.eq_ignore_ascii_case(b_host) && same_port
}

fn split_port(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let is_literal = bytes.first() == Some(&b'[');
    let end = if is_literal { bytes.iter().position(|b| *b == b']') } else { None };
    let literal = end.map_or(0, |end| end + 1);
    match bytes[literal..].iter().position(|b| *b == b':') {
        Some(colon) => (&bytes[..literal + colon], Some(&bytes[literal + colon + 1..])),
        None => (bytes, None),
    }
}

fn is_port(bytes: &[u8]) -> bool {
    bytes.len() <= 5 && bytes.iter().all(u8::is_ascii_digit) && number(bytes) <= u32::from(u16::MAX)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'))
}

fn is_ip_literal(host: &[u8]) -> bool {
    let inner = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]"));
    inner.and_then(|i| std::str::from_utf8(i).ok()).is_some_and(|i| i.parse::<Ipv6Addr>().is_ok())
}

fn is_reg_name(host: &[u8]) -> bool {
    chars::is_host(host) || is_escaped_name(host)
}

fn is_escaped_name(host: &[u8]) -> bool {
    let mut rest = host;
    while let Some(percent) = rest.iter().position(|b| *b == b'%') {
        let escaped = rest.get(percent + 1..percent + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if !escaped || !chars::is_host(&rest[..percent]) {
            return false;
        }
        rest = &rest[percent + 3..];
    }
    chars::is_host(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_what_only_looks_like_one() {
        for good in ["a", "a.b", "a:80", "a:", "127.0.0.1:65535", "[::1]", "[2001:db8::1]:8080", "a%20b", "x_y"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a:b", "a:65536", "a:-1", "u@a", "a#b", "a/b", "a?b", "a b", "[::1", "::1", "[::g]", "[::1]x",
            "a%2", "a%zz", "a,b:1:2", "a\\b", "é",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_same_place_in_other_words() {
        assert!(names_same_place(b"A.example", b"a.EXAMPLE:80", false));
        assert!(names_same_place(b"[::1]:", b"[::1]:80", false));
        assert!(names_same_place(b"a", b"a:443", true) && names_same_place(b"a:80", b"a:80", true));
        assert!(!names_same_place(b"a", b"a:80", true) && !names_same_place(b"a", b"a:443", false));
        assert!(!names_same_place(b"a", b"a:81", false));
        assert!(!names_same_place(b"a", b"b", false));
    }
}
