//! `RateLimit-Policy`, `RateLimit` and `Retry-After` (draft-ietf-httpapi-ratelimit-headers-10; RFC 9110 section 10.2.3).

use crate::{
    clock::Nanos,
    limit::Limit,
    limiter::{Decision, LimitKind},
};

/// Longest `Retry-After`, seconds. Also said where waiting never helps (rate 0): limits change.
const MAX_RETRY_AFTER_SEC: u64 = 86_400;

/// Appends the two `RateLimit` headers of a decision.
pub(super) fn put_rate_limit(out: &mut Vec<u8>, kind: LimitKind, limit: &Limit, decision: &Decision) {
    put_policy(out, kind, limit);
    put_state(out, kind, decision);
}

/// Appends `Retry-After` to a refusal.
pub(super) fn put_retry_after(out: &mut Vec<u8>, decision: &Decision) {
    let seconds = decision.wait.map_or(MAX_RETRY_AFTER_SEC, seconds_up).clamp(1, MAX_RETRY_AFTER_SEC);
    out.extend_from_slice(b"Retry-After: ");
    put_number(out, seconds);
    out.extend_from_slice(b"\r\n");
}

/// `"default";q=5;w=50`: 5 requests per 50 s, the time an empty bucket takes to fill. Without `w` it never does.
fn put_policy(b: &mut Vec<u8>, kind: LimitKind, limit: &Limit) {
    // Spelt out: each piece that is put together costs more than its bytes.
    b.extend_from_slice(match kind {
        LimitKind::Default => b"RateLimit-Policy: \"default\";q=".as_slice(),
        LimitKind::Client => b"RateLimit-Policy: \"client\";q=",
    });
    put_number(b, limit.capacity() as u64);
    if limit.rate_per_sec() > 0.0 {
        b.extend_from_slice(b";w=");
        put_number(b, ((limit.capacity() / limit.rate_per_sec()).ceil() as u64).max(1));
    }
}

/// `"default";r=4;t=10`: 4 requests left, full again in 10 s. Without `t` it never is.
fn put_state(b: &mut Vec<u8>, kind: LimitKind, decision: &Decision) {
    b.extend_from_slice(match kind {
        LimitKind::Default => b"\r\nRateLimit: \"default\";r=".as_slice(),
        LimitKind::Client => b"\r\nRateLimit: \"client\";r=",
    });
    put_number(b, decision.remaining as u64);
    if let Some(reset) = decision.reset {
        b.extend_from_slice(b";t=");
        put_number(b, seconds_up(reset));
    }
    b.extend_from_slice(b"\r\n");
}

/// An sf-integer has at most 15 digits (RFC 9651 section 3.3.1).
fn put_number(b: &mut Vec<u8>, number: u64) {
    b.extend_from_slice(itoa::Buffer::new().format(number.min(999_999_999_999_999)).as_bytes());
}

fn seconds_up(nanos: u64) -> u64 {
    nanos.div_ceil(Nanos::SECOND.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(kind: LimitKind, limit: Limit, decision: Decision) -> [String; 3] {
        let mut out = Vec::new();
        put_rate_limit(&mut out, kind, &limit, &decision);
        put_retry_after(&mut out, &decision);
        let text = String::from_utf8(out).unwrap();
        let value = |name: &str| {
            let line = text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap().to_owned()
        };
        ["RateLimit-Policy", "RateLimit", "Retry-After"].map(value)
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
