//! What is spoken on the listener: TLS or not, and which HTTP.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Versions of HTTP that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Both: by ALPN with TLS, without it by how the client begins.
    #[default]
    Both,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only; without TLS by prior knowledge.
    Http2,
}

/// What is spoken on a listener. By default both versions of HTTP without TLS.
#[derive(Clone, Default)]
pub struct Speech {
    pub(crate) versions: Versions,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Speech {
    /// These versions, without TLS.
    pub fn plain(versions: Versions) -> Self {
        Self { versions, tls: None }
    }

    /// These versions, over TLS with the certificate (and its chain) and the key of two PEM files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn tls(versions: Versions, cert: &Path, key: &Path) -> io::Result<Self> {
        let named = |path: &Path, why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| named(cert, &e))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| named(key, &e))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|e| named(cert, &e))?;
        config.alpn_protocols = versions.alpn();
        Ok(Self { versions, tls: Some(Arc::new(config).into()) })
    }
}

impl Versions {
    fn alpn(self) -> Vec<Vec<u8>> {
        let (one, two) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self {
            Self::Both => vec![two, one],
            Self::Http1 => vec![one],
            Self::Http2 => vec![two],
        }
    }
}
