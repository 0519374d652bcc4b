//! TLS to the proxy's port.

use std::sync::Arc;

use anyhow::{Context, Result};
use e2e::{Authority, wait};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An authority, the certificate it has issued to the proxy, and clients that believe it.
pub(crate) struct Tls {
    authority: Authority,
}

const HOST: &str = "localhost";

impl Tls {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { authority: Authority::new("conformance")? })
    }

    /// Flags of the data plane.
    pub(crate) fn args(&self) -> Result<Vec<String>> {
        let (certificate, key) = self.authority.issue(HOST, 4000)?;
        let path = |path: std::path::PathBuf| path.display().to_string();
        Ok(vec!["--tls-cert".into(), path(certificate), "--tls-key".into(), path(key)])
    }

    /// Agrees on this protocol.
    pub(crate) async fn connect(&self, stream: TcpStream, alpn: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority.file())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST)?, stream);
        wait::bounded("TLS", connecting).await?.context("no TLS")
    }
}
