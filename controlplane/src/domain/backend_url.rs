//! The URL of a backend: where it is, and how it is spoken to.

use rustls::pki_types::ServerName;

use super::Invalid;

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP/1.1.
    Http,
    /// TLS with a certificate that is verified; HTTP/2 or HTTP/1.1, as the backend chooses (ALPN).
    Https,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::Http, Self::Https, Self::H2c];

    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }
}

/// `scheme://host:port`, normalised: lower-case host, explicit port, no path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendUrl {
    text: Box<str>,
    scheme: Scheme,
}

impl BackendUrl {
    /// Accepts `http://host[:port]`, `https://host[:port]` and `h2c://host[:port]`, with or without a single trailing
    /// slash. The default ports are 80, 443 and 80.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        Self::parse(text).map_err(|what| Invalid {
            field: "url",
            expected: format!("expected http://host:port, https://host:port or h2c://host:port, got {text:?}: {what}"),
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Scheme::of(scheme), rest),
            None => return Err("it has no scheme".into()),
        };
        let scheme = scheme.ok_or("the scheme is none of these")?;
        // To the URL standard h2c is a scheme like any other, whose hosts it would leave as they are.
        let web = if scheme == Scheme::Https { "https" } else { "http" };
        let parsed = url::Url::parse(&format!("{web}://{rest}")).map_err(|e| e.to_string())?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("it holds a user name or password".into());
        }
        if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err("a backend has no path, query or fragment".into());
        }
        let host = parsed.host_str().filter(|h| !h.is_empty()).ok_or("it has no host")?;
        if scheme == Scheme::Https && server_name(host).is_none() {
            return Err("no certificate can be for its host".into());
        }
        match parsed.port_or_known_default() {
            Some(0) | None => Err("its port is not 1 to 65535".into()),
            Some(port) => Ok(Self { text: format!("{}://{host}:{port}", scheme.as_str()).into(), scheme }),
        }
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the backend is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or(&self.text, |(_, authority)| authority)
    }

    /// The name or address that the backend's certificate must be for; `None` where there is none.
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        let host = self.authority().rsplit_once(':').map(|(host, _)| host)?;
        server_name(host).filter(|_| self.scheme == Scheme::Https)
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_normalised() {
        for (given, kept) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://Example.COM/", "http://example.com:80"),
            ("http://[::1]:9", "http://[::1]:9"),
            ("HTTPS://Example.COM", "https://example.com:443"),
            ("https://127.0.0.1:80", "https://127.0.0.1:80"),
            ("h2c://Example.COM/", "h2c://example.com:80"),
            ("h2c://[0:0::1]:9", "h2c://[::1]:9"),
        ] {
            assert_eq!(BackendUrl::new(given).unwrap().as_str(), kept);
        }
        assert_eq!(BackendUrl::new("http://[::1]:9").unwrap().authority(), "[::1]:9");
    }

    #[test]
    fn url_refuses_what_is_not_a_backend() {
        for bad in [
            "",
            "127.0.0.1:80",
            "ftp://a",
            "http:a",
            "h2://a",
            "http://",
            "https://",
            "h2c://",
            "http://a/path",
            "h2c://a/path",
            "http://a?q",
            "https://u:p@a",
            "http://a:0",
            "h2c://a:0",
        ] {
            assert_eq!(BackendUrl::new(bad).unwrap_err().field, "url", "{bad:?}");
        }
    }

    #[test]
    fn only_who_speaks_tls_has_a_name_to_be_known_by() {
        let name = |url| BackendUrl::new(url).unwrap().server_name();
        assert_eq!(name("https://Example.com"), ServerName::try_from("example.com").ok());
        assert_eq!(name("https://[::1]:9"), ServerName::try_from("::1").ok());
        assert_eq!(name("http://example.com"), None);
        assert_eq!(name("h2c://example.com"), None);
    }
}
