//! A client's limit.

use super::Invalid;

/// Longest client_id in bytes.
const MAX_CLIENT_ID_BYTES: usize = 256;

/// Names a client: an API key, `ip:port`, or an ip. 1 to 256 bytes of printable text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// Accepts a printable text of 1 to 256 bytes. What cannot be seen, or turns the order of what is around it, would
    /// let two clients look alike.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let id = Self::existing(text)?;
        match text.chars().find(|c| is_invisible(*c)) {
            Some(c) => {
                let expected = format!("expected printable text, got the invisible character {}", c.escape_unicode());
                Err(Invalid { field: "client_id", expected })
            }
            None => Ok(id),
        }
    }

    /// Accepts also what was accepted once, and what may be read and deleted.
    pub fn existing(text: &str) -> Result<Self, Invalid> {
        let fault = |expected: String| Err(Invalid { field: "client_id", expected });
        if text.is_empty() || text.len() > MAX_CLIENT_ID_BYTES {
            return fault(format!("expected 1 to {MAX_CLIENT_ID_BYTES} bytes, got {}", text.len()));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(c) => fault(format!("expected printable text, got the control character {}", c.escape_unicode())),
            None => Ok(Self(text.into())),
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters without a shape of their own: soft hyphen, zero width, and direction (Unicode, general category Cf).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// A token bucket: a burst of `capacity` requests, refilled at `rate_per_sec`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    capacity: f64,
    rate_per_sec: f64,
}

impl Limit {
    /// Accepts a finite capacity of at least 1 and a finite rate of at least 0 (0: the burst never refills).
    pub fn new(capacity: f64, rate_per_sec: f64) -> Result<Self, Invalid> {
        if !(capacity.is_finite() && capacity >= 1.0) {
            let expected = format!("expected a finite number of at least 1, got {capacity}");
            return Err(Invalid { field: "capacity", expected });
        }
        if !(rate_per_sec.is_finite() && rate_per_sec >= 0.0) {
            let expected = format!("expected a finite number of at least 0, got {rate_per_sec}");
            return Err(Invalid { field: "rate_per_sec", expected });
        }
        // -0.0 would print as "-0" and differ from 0.0 bit by bit.
        Ok(Self { capacity, rate_per_sec: rate_per_sec + 0.0 })
    }

    /// Tokens the bucket holds, in requests.
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Tokens added per second.
    pub fn rate_per_sec(&self) -> f64 {
        self.rate_per_sec
    }
}

/// A client's limit as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredLimit {
    /// Whose limit it is.
    pub client_id: ClientId,
    /// The limit.
    pub limit: Limit,
    /// Configuration revision at which it last changed.
    pub revision: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_id_is_1_to_256_printable_bytes() {
        assert!(ClientId::new("123.5.6.7:890").is_ok());
        assert!(ClientId::new(&"é".repeat(128)).is_ok());
        for bad in ["", "a\0b", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(257)] {
            assert_eq!(ClientId::new(bad).unwrap_err().field, "client_id", "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_printable_but_may_exist() {
        for c in "\u{ad}\u{200b}\u{200f}\u{202a}\u{202e}\u{2060}\u{2064}\u{2066}\u{2069}\u{feff}".chars() {
            let text = format!("ali{c}ce");
            let expected = format!("expected printable text, got the invisible character {}", c.escape_unicode());
            assert_eq!(ClientId::new(&text).unwrap_err().expected, expected);
            assert_eq!(ClientId::existing(&text).unwrap().as_str(), text);
        }
        for visible in ["שלום", "नमस्ते", "👩", "a b"] {
            assert!(ClientId::new(visible).is_ok(), "{visible:?}");
        }
        assert!(ClientId::existing("a\nb").is_err());
    }

    #[test]
    fn limit_refuses_what_is_not_a_bucket() {
        assert!(Limit::new(1.0, 0.0).is_ok());
        assert!(Limit::new(5.5, 0.1).is_ok());
        for capacity in [0.0, 0.99, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Limit::new(capacity, 1.0).unwrap_err().field, "capacity");
        }
        for rate in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Limit::new(1.0, rate).unwrap_err().field, "rate_per_sec");
        }
        assert!(Limit::new(1.0, -0.0).unwrap().rate_per_sec().is_sign_positive());
    }
}
