//! `Max-Forwards` of OPTIONS (RFC 9110 section 7.6.2). TRACE, the other method that it is for, is refused.

use http::{HeaderValue, Method, Request, header};

/// Large enough for any chain of proxies, and the most that is passed on (the RFC lets a recipient choose it).
const MOST: u64 = i64::MAX as u64;

/// Counts one hop down. True: this was the last, and the request is to be answered here.
pub(super) fn is_last_hop<B>(request: &mut Request<B>) -> bool {
    if request.method() != Method::OPTIONS {
        return false;
    }
    let mut values = request.headers().get_all(header::MAX_FORWARDS).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some(hops) = decimal(value.as_bytes()) else { return false };
    let Some(left) = hops.checked_sub(1) else { return true };
    request.headers_mut().insert(header::MAX_FORWARDS, HeaderValue::from(left));
    false
}

/// 1*DIGIT; what is larger than [`MOST`] is that.
fn decimal(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| valid)?;
    Some(number.parse().unwrap_or(MOST).min(MOST))
}
