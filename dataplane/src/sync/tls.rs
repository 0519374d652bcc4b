//! TLS to control planes: whom to believe, and who we are.

use std::{
    error::Error,
    fmt::Display,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// How control planes with `https` are spoken to. The files are read for each stream, so that what is renewed on disk
/// holds from the next one on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlPlaneTls {
    /// PEM: the authorities to verify them with; `None`: the public ones.
    pub ca: Option<PathBuf>,
    /// What to show to those that ask for a certificate.
    pub identity: Option<Identity>,
}

/// A certificate with its chain and its private key, in two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate first, then those that sign it.
    pub cert: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl ControlPlaneTls {
    /// Whether TLS could be set up now.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn check(&self) -> Result<(), TlsFault> {
        self.secure(Endpoint::from_static("https://localhost")).map(drop)
    }

    /// The endpoint, spoken to by TLS.
    pub(super) fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, TlsFault> {
        let trusting = match &self.ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(authorities(path)?),
            None => ClientTlsConfig::new().trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        let Some(Identity { cert, key }) = &self.identity else {
            return endpoint.tls_config(trusting).map_err(|e| fault(Path::new("TLS"), &innermost(&e)));
        };
        let identity = tonic::transport::Identity::from_pem(read(cert)?, read(key)?);
        // The authorities have been parsed: what is wrong now is the identity.
        let unusable =
            |e| fault(cert, &format!("not a certificate that {} is the key of: {}", key.display(), innermost(&e)));
        endpoint.tls_config(trusting.identity(identity)).map_err(unusable)
    }
}

/// The transport itself passes over what it cannot parse.
fn authorities(path: &Path) -> Result<Certificate, TlsFault> {
    let (pem, mut roots) = (read(path)?, RootCertStore::empty());
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| fault(path, &e))?;
        roots.add(certificate).map_err(|e| fault(path, &e))?;
    }
    if roots.is_empty() { Err(fault(path, &"it holds no certificate")) } else { Ok(Certificate::from_pem(pem)) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|e| fault(path, &e))
}

fn fault(path: &Path, reason: &dyn Display) -> TlsFault {
    TlsFault { path: path.into(), reason: reason.to_string() }
}

/// The transport's own text says nothing of what happened.
pub(super) fn innermost(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}
