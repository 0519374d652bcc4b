//! How a backend is spoken to.

/// The scheme of a backend's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS with a certificate that is verified; HTTP/2 or HTTP/1.1, as the backend chooses (ALPN).
    Https,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    /// The scheme of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::H2c].into_iter().find(|scheme| scheme.as_str() == name)
    }
}
