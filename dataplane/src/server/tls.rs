//! Certificates for the proxy port, and which one a client is shown.

mod load;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    CipherSuite, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version,
};
use tokio_rustls::TlsAcceptor;

pub use load::{CertificateFiles, TlsError};
pub(crate) use watch::keep_fresh;

/// The certificates in force. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Certificates {
    files: Arc<[CertificateFiles]>,
    config: Arc<ArcSwap<ServerConfig>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificates").field(&self.files).finish()
    }
}

impl Certificates {
    /// Reads certificates and keys. The first is shown to clients that name no host, or one that no certificate has.
    ///
    /// # Errors
    /// Names the file that cannot be read or used.
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, TlsError> {
        let config = Arc::new(ArcSwap::from_pointee(server_config(&files)?));
        Ok(Self { files: files.into(), config })
    }

    /// Reads the files again. New connections see the result; on an error, what was read before.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(server_config(&self.files)?));
        Ok(())
    }

    /// The files.
    pub fn files(&self) -> &[CertificateFiles] {
        &self.files
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

/// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 on offer.
fn server_config(files: &[CertificateFiles]) -> Result<ServerConfig, TlsError> {
    let resolver = ByName { certificates: files.iter().map(load::load).collect::<Result<_, _>>()? };
    let provider = Arc::new(provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Rustls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Clients keep their own session. A table here would hold 256, behind a lock of all threads.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Rustls)?;
    // A resumed session is paid for with one ticket: who gets one back can go on for ever.
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// AES-128 before the others: it is as safe, and what goes with it, SHA-256, is done by processors where SHA-384 is not.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
    provider
}

fn is_aes_128(suite: CipherSuite) -> bool {
    use CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS13_AES_128_GCM_SHA256,
    };
    matches!(
        suite,
        TLS13_AES_128_GCM_SHA256 | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// Chooses by the host name that the client asks for (SNI).
#[derive(Debug)]
struct ByName {
    certificates: Vec<load::Named>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let named = wanted.and_then(|name| self.certificates.iter().find(|c| c.is_for(name)));
        named.or(self.certificates.first()).map(|c| c.key.clone())
    }
}
