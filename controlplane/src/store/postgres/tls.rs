//! TLS towards PostgreSQL by `sslmode`, with libpq's meanings.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::domain::Invalid;
use crate::store::{StoreError, TlsMode};

/// The TLS settings for a mode; `root_cert` is a PEM file, `None` the authorities that browsers trust.
pub(super) fn client_config(mode: TlsMode, root_cert: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::Internal(e.to_string()))?;
    let trust = match mode {
        TlsMode::VerifyFull => return Ok(builder.with_root_certificates(roots(root_cert)?).with_no_client_auth()),
        TlsMode::VerifyCa => Trust::Authority(authority(roots(root_cert)?, &provider)?),
        TlsMode::Require if root_cert.is_some() => Trust::Authority(authority(roots(root_cert)?, &provider)?),
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Trust::Anyone,
    };
    let verifier = Arc::new(Lenient { trust, provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(root_cert: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let Some(path) = root_cert else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let fault = |why: &dyn std::fmt::Display| Invalid {
        field: "database.sslrootcert",
        expected: format!("expected a PEM file with certificates, got {}: {why}", path.display()),
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fault(&e))? {
        store.add(certificate.map_err(|e| fault(&e))?).map_err(|e| fault(&e))?;
    }
    if store.is_empty() {
        return Err(fault(&"it holds none").into());
    }
    Ok(store)
}

fn authority(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, StoreError> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.build().map_err(|e| StoreError::Internal(e.to_string()))
}

/// Verifies less than rustls would, because the operator said so.
#[derive(Debug)]
struct Lenient {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Trust {
    /// Any certificate: encryption against listeners only.
    Anyone,
    /// A certificate of a trusted authority, for whatever name.
    Authority(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Authority(verifier) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when the chain has been found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
