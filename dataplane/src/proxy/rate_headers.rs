//! `RateLimit-Policy`, `RateLimit` and `Retry-After` (draft-ietf-httpapi-ratelimit-headers-10; RFC 9110 section 10.2.3).

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    clock::Nanos,
    limit::Limit,
    limiter::{Decision, LimitKind},
};

static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Longest `Retry-After`, seconds. Also said where waiting never helps (rate 0): limits change.
const MAX_RETRY_AFTER_SEC: u64 = 86_400;
/// More than the longest value written here: two names, three 20-digit numbers and the parameters' names.
const MAX_VALUE_BYTES: usize = 96;
const CHUNK_BYTES: usize = 8 * 1024;

/// Renders header values into a chunk of memory that many share: no allocation per value.
#[derive(Default)]
pub(crate) struct ValueArena(RefCell<BytesMut>);

impl ValueArena {
    /// A value of at most [`MAX_VALUE_BYTES`] visible ASCII bytes.
    pub(crate) fn render(&self, write: impl FnOnce(&mut BytesMut)) -> HeaderValue {
        let mut chunk = self.0.borrow_mut();
        if chunk.capacity() < MAX_VALUE_BYTES {
            *chunk = BytesMut::with_capacity(CHUNK_BYTES);
        }
        write(&mut chunk);
        let bytes: Bytes = chunk.split().freeze();
        HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Adds the two `RateLimit` headers of a decision.
pub(crate) fn add_rate_limit(
    headers: &mut HeaderMap,
    arena: &ValueArena,
    kind: LimitKind,
    limit: &Limit,
    decision: &Decision,
) {
    let policy = arena.render(|b| put_policy(b, kind, limit));
    headers.append(RATE_LIMIT_POLICY.clone(), policy);
    let state = arena.render(|b| put_state(b, kind, decision));
    headers.append(RATE_LIMIT.clone(), state);
}

/// Adds `Retry-After` to a refusal.
pub(crate) fn add_retry_after(headers: &mut HeaderMap, arena: &ValueArena, decision: &Decision) {
    let seconds = decision.wait.map_or(MAX_RETRY_AFTER_SEC, seconds_up).clamp(1, MAX_RETRY_AFTER_SEC);
    headers.insert(header::RETRY_AFTER, arena.render(|b| put_number(b, seconds)));
}

/// `"default";q=5;w=50`: 5 requests per 50 s, the time an empty bucket takes to fill. Without `w` it never does.
fn put_policy(b: &mut BytesMut, kind: LimitKind, limit: &Limit) {
    put_name(b, kind);
    b.put_slice(b";q=");
    put_number(b, limit.capacity() as u64);
    if limit.rate_per_sec() > 0.0 {
        b.put_slice(b";w=");
        put_number(b, ((limit.capacity() / limit.rate_per_sec()).ceil() as u64).max(1));
    }
}

/// `"default";r=4;t=10`: 4 requests left, full again in 10 s. Without `t` it never is.
fn put_state(b: &mut BytesMut, kind: LimitKind, decision: &Decision) {
    put_name(b, kind);
    b.put_slice(b";r=");
    put_number(b, decision.remaining as u64);
    if let Some(reset) = decision.reset {
        b.put_slice(b";t=");
        put_number(b, seconds_up(reset));
    }
}

fn put_name(b: &mut BytesMut, kind: LimitKind) {
    b.put_slice(match kind {
        LimitKind::Default => b"\"default\"",
        LimitKind::Client => b"\"client\"",
    });
}

/// An sf-integer has at most 15 digits (RFC 9651 section 3.3.1).
fn put_number(b: &mut BytesMut, number: u64) {
    b.put_slice(itoa::Buffer::new().format(number.min(999_999_999_999_999)).as_bytes());
}

fn seconds_up(nanos: u64) -> u64 {
    nanos.div_ceil(Nanos::SECOND.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(kind: LimitKind, limit: Limit, decision: Decision) -> [String; 3] {
        let (mut headers, arena) = (HeaderMap::new(), ValueArena::default());
        add_rate_limit(&mut headers, &arena, kind, &limit, &decision);
        add_retry_after(&mut headers, &arena, &decision);
        ["ratelimit-policy", "ratelimit", "retry-after"].map(|n| headers[n].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_contract_s_example() {
        let limit = Limit::new(5.0, 0.1).unwrap();
        let decision = Decision { admitted: true, remaining: 4.0, wait: None, reset: Some(10_000_000_000) };
        let [policy, state, _] = rendered(LimitKind::Default, limit, decision);
        assert_eq!(policy, r#""default";q=5;w=50"#);
        assert_eq!(state, r#""default";r=4;t=10"#);
    }

    #[test]
    fn a_bucket_that_never_refills_says_so() {
        let limit = Limit::new(3.0, 0.0).unwrap();
        let decision = Decision { admitted: false, remaining: 0.0, wait: None, reset: None };
        let expected = [r#""client";q=3"#, r#""client";r=0"#, "86400"];
        assert_eq!(rendered(LimitKind::Client, limit, decision), expected);
    }

    #[test]
    fn waits_are_rounded_up_and_numbers_fit() {
        let limit = Limit::new(1e300, 1e-300).unwrap();
        let decision = Decision { admitted: false, remaining: 0.9, wait: Some(1), reset: Some(u64::MAX) };
        let [policy, state, retry_after] = rendered(LimitKind::Client, limit, decision);
        assert_eq!(policy, r#""client";q=999999999999999;w=999999999999999"#);
        assert_eq!(state, r#""client";r=0;t=18446744074"#);
        assert_eq!(retry_after, "1");
    }
}
