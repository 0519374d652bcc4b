//! `Max-Forwards` of OPTIONS (RFC 9110 section 7.6.2). TRACE, the other method that it is for, is refused.

use crate::http1::{Head, Name};

/// Large enough for any chain of proxies, and the most that is passed on (the RFC lets a recipient choose it).
const MOST: u64 = i64::MAX as u64;

/// How far a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hops {
    /// Nothing is said of it.
    Any,
    /// This was the last, and the request is to be answered here.
    None,
    /// So many after this one.
    Left(u64),
}

/// Counts one hop down.
pub(super) fn count_down(head: &Head) -> Hops {
    if head.method() != b"OPTIONS" {
        return Hops::Any;
    }
    let mut values = head.fields().all(Name::MaxForwards);
    let (Some(value), None) = (values.next(), values.next()) else { return Hops::Any };
    match decimal(value).map(|hops| hops.checked_sub(1)) {
        None => Hops::Any,
        Some(None) => Hops::None,
        Some(Some(left)) => Hops::Left(left),
    }
}

/// 1*DIGIT; what is larger than [`MOST`] is that.
fn decimal(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| valid)?;
    Some(number.parse().unwrap_or(MOST).min(MOST))
}
