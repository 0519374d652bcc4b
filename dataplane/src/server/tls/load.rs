//! Certificates and keys on disk (PEM).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// A certificate with its chain, and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate first, then those that sign it.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// TLS itself cannot be set up.
    #[error("TLS: {0}")]
    Rustls(#[source] rustls::Error),
}

/// A certificate and the names it is for.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) key: Arc<CertifiedKey>,
    /// Lower case; `*.` stands for one label.
    names: Vec<String>,
}

impl Named {
    /// Whether the certificate is for this host (RFC 6125 section 6.4).
    pub(super) fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => parent == Some(domain),
            None => *name == host,
        })
    }
}

pub(super) fn load(files: &CertificateFiles) -> Result<Named, TlsError> {
    let chain = certificates(&files.certificate)?;
    let names = names(&files.certificate, &chain)?;
    let invalid = |reason: String| TlsError::Invalid { path: files.key.clone(), reason };
    let pem = read(&files.key)?;
    let key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|e| invalid(format!("expected a private key in PEM: {e}")))?;
    let key = any_supported_type(&key).map_err(|e| invalid(e.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| invalid(format!("is not the key of {}", files.certificate.display())))?;
    Ok(Named { key: Arc::new(certified), names })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let invalid = |reason: String| TlsError::Invalid { path: path.into(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(invalid("expected a certificate in PEM, found none".into())),
        Err(e) => Err(invalid(format!("expected a certificate in PEM: {e}"))),
    }
}

fn names(path: &Path, chain: &[CertificateDer<'static>]) -> Result<Vec<String>, TlsError> {
    let leaf = chain.first().map(webpki::EndEntityCert::try_from);
    match leaf {
        Some(Ok(leaf)) => Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect()),
        Some(Err(e)) => {
            Err(TlsError::Invalid { path: path.into(), reason: format!("is not a usable certificate: {e}") })
        }
        None => Ok(Vec::new()),
    }
}
