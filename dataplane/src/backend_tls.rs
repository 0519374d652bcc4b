//! TLS to backends with `https://`: by whom they must be certified, and what is offered to them.
//!
//! Set up once per configuration and not per connection, so that sessions are resumed.

use std::{fmt, sync::Arc};

use http::uri::Authority;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio_rustls::TlsConnector;

/// How backends with `https://` are spoken to. Cheap to clone; clones share the sessions that can be resumed.
#[derive(Clone)]
pub struct BackendTls(Arc<Inner>);

struct Inner {
    ca_pem: Box<str>,
    any: TlsConnector,
    http1: TlsConnector,
}

/// Why the authorities cannot be used, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAuthorities(String);

impl BackendTls {
    /// Believes backends that one of these authorities has certified (PEM); none are given: a public one.
    ///
    /// # Errors
    /// When there is text and no certificate in it, or one that cannot be used.
    pub fn new(ca_pem: &str) -> Result<Self, BadAuthorities> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| BadAuthorities(e.to_string()))?
            .with_root_certificates(roots(ca_pem)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone()).into();
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self(Arc::new(Inner { ca_pem: ca_pem.into(), any: Arc::new(config).into(), http1 })))
    }

    /// What it was made from.
    pub fn ca_pem(&self) -> &str {
        &self.0.ca_pem
    }

    /// Offers HTTP/2 and HTTP/1.1.
    pub(crate) fn offering_any(&self) -> &TlsConnector {
        &self.0.any
    }

    /// Whether both came of one configuration.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Offers HTTP/1.1 alone: there is no other way to a WebSocket.
    pub(crate) fn offering_http1(&self) -> &TlsConnector {
        &self.0.http1
    }
}

/// Authorities are long, and their names say nothing.
impl fmt::Debug for BackendTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendTls({} bytes of authorities)", self.ca_pem().len())
    }
}

/// What the certificate of a backend must be for; `None`: there can be none.
pub(crate) fn server_name(authority: &Authority) -> Option<ServerName<'static>> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).ok()
}

fn roots(ca_pem: &str) -> Result<RootCertStore, BadAuthorities> {
    if ca_pem.is_empty() {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|_| BadAuthorities("one is cut off or not base64".into()))?;
        roots.add(certificate).map_err(|e| BadAuthorities(e.to_string()))?;
    }
    if roots.is_empty() { Err(BadAuthorities("there is no certificate".into())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_public_ones_or_those_given_and_never_none() {
        let public = BackendTls::new("").unwrap();
        assert_eq!(public.ca_pem(), "");
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
        assert_eq!(roots(&pem).unwrap().len(), 1);
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["certificates", &pem[..pem.len() / 2], garbage, &key.serialize_pem()] {
            assert!(BackendTls::new(bad).is_err(), "{bad}");
        }
    }
}
