//! The admin port's token.

use std::fmt;

use http::{HeaderMap, header::AUTHORIZATION};
use rustls::crypto::{GetRandomFailed, ring};
use subtle::ConstantTimeEq;

/// Secret that callers of the admin port send as `Authorization: Bearer TOKEN`. Never printed.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Accepts what can stand in a header: visible ASCII without spaces. The error says what was expected.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err("expected a token of visible ASCII characters without spaces")
        }
    }

    /// A secret that nobody knows yet: 256 random bits.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn random() -> Result<Self, GetRandomFailed> {
        let mut bytes = [0; 32];
        ring::default_provider().secure_random.fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The secret itself, for a client that has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the headers carry this token. Takes the same time wherever the difference is.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, given)) = value.as_bytes().split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(self.0.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = Token::new("s3cret").unwrap();
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER s3cret"] {
            assert!(token.admits(&headers(good)), "{good:?}");
        }
        for bad in
            ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret", "Bearer  s3cret"]
        {
            assert!(!token.admits(&headers(bad)), "{bad:?}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }

    #[test]
    fn it_is_never_printed() {
        assert!(!format!("{:?}", Token::new("s3cret").unwrap()).contains("s3cret"));
        assert!(Token::new("a b").is_err() && Token::new("").is_err() && Token::new("a\n").is_err());
    }
}
