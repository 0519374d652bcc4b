//! Certificates made for a story.

use std::{fs, path::PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// An authority, and a directory with its certificate and those that it issues.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// One of this name: two of the same name would be taken for one another.
    ///
    /// # Errors
    /// When its certificate cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?, dir: tempfile::tempdir()? };
        fs::write(authority.file(), authority.issuer.pem())?;
        Ok(authority)
    }

    /// Its certificate, PEM.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The line of the configuration that has backends verified by it.
    pub fn config_line(&self) -> String {
        format!("backend_tls: {{ ca_file: \"{}\" }}", self.file().display())
    }

    /// A certificate for a host name or an address that ends with the year before `until_year`, and its key; PEM.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn issue(&self, host: &str, until_year: i32) -> Result<(PathBuf, PathBuf)> {
        let (key, mut params) = (KeyPair::generate()?, CertificateParams::new(vec![host.into()])?);
        params.not_after = date_time_ymd(until_year, 1, 1);
        let file = |end: &str| self.dir.path().join(format!("{host}-{until_year}.{end}"));
        fs::write(file("pem"), params.signed_by(&key, &self.issuer)?.pem())?;
        fs::write(file("key"), key.serialize_pem())?;
        Ok((file("pem"), file("key")))
    }
}
