//! A prefix and a place to go on from, as a range of the index.

use crate::domain::ClientId;

/// From a client_id to before another, bytewise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: String,
    /// Whether `from` itself is left out.
    pub(super) exclusive: bool,
    /// `None`: to the end.
    pub(super) to: Option<String>,
}

impl Range {
    /// The client_ids that begin with `prefix` and come after `after`; `None` if there can be none.
    pub(super) fn new(prefix: &str, after: Option<&ClientId>) -> Option<Self> {
        // No client_id holds one, and PostgreSQL would refuse NUL.
        if prefix.contains(char::is_control) {
            return None;
        }
        let to = successor(prefix);
        Some(match after.map(ClientId::as_str).filter(|after| *after >= prefix) {
            Some(after) => Self { from: after.into(), exclusive: true, to },
            None => Self { from: prefix.into(), exclusive: false, to },
        })
    }
}

/// The least text that is greater than every text beginning with `prefix`; UTF-8 sorts like its characters.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // A range of char steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_ends_the_prefix() {
        assert_eq!(successor(""), None);
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
    }

    #[test]
    fn after_a_client_outside_the_prefix() {
        let after = |id| ClientId::new(id).unwrap();
        let from = |prefix, id| Range::new(prefix, Some(&after(id))).map(|r| (r.from, r.exclusive));
        assert_eq!(from("b", "a"), Some(("b".into(), false)));
        assert_eq!(from("b", "ba"), Some(("ba".into(), true)));
        assert_eq!(Range::new("a\0", None), None);
    }
}
