//! From PEM files to what rustls serves.

use std::{fmt::Display, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version,
};

use super::TlsFiles;
use crate::domain::Invalid;

/// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 on offer.
pub(super) fn server_config(files: &TlsFiles) -> Result<ServerConfig, Invalid> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates("cert", &files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|e| invalid("key", "a PEM file with a private key", &files.key, &e))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|e| invalid("cert", "a certificate for TLS", &files.cert, &e))?;
    let builder = match &files.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| invalid("key", &format!("the private key of {}", files.cert.display()), &files.key, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Whoever has no certificate of these authorities gets no connection.
fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Invalid> {
    let expected = "a PEM file with certificates of authorities";
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", path)? {
        roots.add(certificate).map_err(|e| invalid("client_ca", expected, path, &e))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| invalid("client_ca", expected, path, &e))
}

/// At least one.
fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let fault = |why: &dyn Display| invalid(field, "a PEM file with certificates", path, why);
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(|e| fault(&e))?.collect::<Result<_, _>>().map_err(|e| fault(&e))?;
    if found.is_empty() { Err(fault(&"it holds none")) } else { Ok(found) }
}

fn invalid(field: &'static str, expected: &str, path: &Path, why: &dyn Display) -> Invalid {
    Invalid { field, expected: format!("expected {expected}, got {}: {why}", path.display()) }
}
