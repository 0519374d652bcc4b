//! TLS to the control plane: whom to believe, and who we are.

use std::{error::Error, fs, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::cli::GlobalArgs;

/// The endpoint, spoken to by TLS if it is `https`. Files that would be left unused are an error: whoever names them
/// believes that the connection is encrypted.
pub(crate) fn secure(endpoint: Endpoint, args: &GlobalArgs) -> Result<Endpoint> {
    if endpoint.uri().scheme_str() != Some("https") {
        if args.ca.is_some() || args.cert.is_some() {
            bail!("--ca and --cert are for TLS: expected --endpoint https://host:port, got {:?}", args.endpoint);
        }
        return Ok(endpoint);
    }
    let trusting = match &args.ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(authorities(path)?),
        None => ClientTlsConfig::new().trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    };
    let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(endpoint.tls_config(trusting)?) };
    let identity = Identity::from_pem(read("--cert", cert)?, read("--key", key)?);
    endpoint.tls_config(trusting.identity(identity)).map_err(|error| {
        let (cert, key, why) = (cert.display(), key.display(), innermost(&error));
        anyhow!("--cert and --key: expected a certificate and its private key in PEM, got {cert} and {key}: {why}")
    })
}

/// The transport passes over what is no certificate, and would trust nobody.
fn authorities(path: &Path) -> Result<Certificate> {
    let pem = read("--ca", path)?;
    if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
        bail!("--ca: expected certificates in PEM, found none in {}", path.display());
    }
    Ok(Certificate::from_pem(pem))
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{flag}: cannot read {}", path.display()))
}

fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
