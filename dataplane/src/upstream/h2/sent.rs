//! What was sent of a request's body, kept for as long as it may have to be sent again.

use bytes::Bytes;
use http::HeaderMap;

/// Most that is kept, bytes. A backend that refuses a request does so before it has read much of it.
const MAX_BYTES: usize = 64 * 1024;

/// The beginning of a body, or all of it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    parts: Vec<Bytes>,
    bytes: usize,
    ended: Option<Ended>,
    /// It is too long, or the backend has answered.
    lost: bool,
}

/// How the body ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    WithData,
    WithTrailers(HeaderMap),
}

impl Sent {
    /// Notes a part that was sent.
    pub(super) fn part(&mut self, part: &Bytes) {
        self.bytes = self.bytes.saturating_add(part.len());
        if self.lost || self.bytes > MAX_BYTES {
            self.forget();
        } else {
            self.parts.push(part.clone());
        }
    }

    /// Notes the end.
    pub(super) fn end(&mut self, how: Ended) {
        self.ended = Some(how);
    }

    /// Whether the end was sent.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// It will not be sent again.
    pub(super) fn forget(&mut self) {
        (self.lost, self.parts) = (true, Vec::new());
    }

    /// All that was sent, if it is still known.
    pub(super) fn take(self) -> Option<(Vec<Bytes>, Option<Ended>)> {
        (!self.lost).then_some((self.parts, self.ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_not_kept() {
        let mut sent = Sent::default();
        sent.part(&Bytes::from(vec![0; MAX_BYTES - 1]));
        sent.part(&Bytes::from_static(b"x"));
        assert_eq!(sent.bytes, MAX_BYTES);
        sent.part(&Bytes::from_static(b"x"));
        assert!(sent.parts.is_empty() && sent.take().is_none());
    }
}
