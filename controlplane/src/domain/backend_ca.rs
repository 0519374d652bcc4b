//! By whom backends with `https://` must be certified.

use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::Invalid;

/// More would not fit into a message to a data plane, together with what else is in it.
const MAX_BYTES: usize = 1 << 20;

/// The certificates of one or more authorities, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendCa(Arc<str>);

impl BackendCa {
    /// Takes the certificates out of PEM text. Whatever else stands there is left out: a private key must not travel.
    ///
    /// # Errors
    /// When there is no certificate, or one that cannot be used.
    pub fn new(pem: &str) -> Result<Self, Invalid> {
        let kept = certificates_only(pem);
        match trusted(&kept) {
            Err(problem) => Err(Invalid { field: "ca_file", expected: problem }),
            Ok(_) if kept.len() > MAX_BYTES => {
                Err(Invalid { field: "ca_file", expected: format!("it is longer than {MAX_BYTES} bytes") })
            }
            Ok(_) => Ok(Self(kept.into())),
        }
    }

    /// The certificates as PEM.
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// The authorities.
    pub fn roots(&self) -> RootCertStore {
        // It was looked through when it was made; trusting nobody is the safe side.
        trusted(&self.0).unwrap_or_else(|_| RootCertStore::empty())
    }
}

/// The public authorities are many, and their names say nothing.
impl fmt::Debug for BackendCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackendCa({} bytes)", self.0.len())
    }
}

fn certificates_only(pem: &str) -> String {
    let (mut kept, mut inside) = (String::new(), false);
    for line in pem.lines().map(str::trim) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != "-----END CERTIFICATE-----";
    }
    kept
}

fn trusted(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "one of its certificates is cut off or not base64")?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".into()) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn authority() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::default().self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn certificates_are_kept_and_keys_are_not() {
        let ((a, key), (b, _)) = (authority(), authority());
        let ca = BackendCa::new(&format!("# comment\r\n{key}{a}text\n{b}")).unwrap();
        assert_eq!(ca.as_pem(), format!("{a}{b}").replace('\r', ""));
        assert_eq!(ca.roots().len(), 2);
        assert_eq!(BackendCa::new(ca.as_pem()).unwrap(), ca);
    }

    #[test]
    fn what_holds_no_certificate_is_refused_with_the_reason() {
        let (good, key) = authority();
        let cut = &good[..good.len() / 2];
        for (bad, why) in [("", "no certificate"), (&*key, "no certificate"), (cut, "cut off")] {
            let refused = BackendCa::new(bad).unwrap_err();
            assert!(refused.expected.contains(why), "{refused}");
        }
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(BackendCa::new(garbage).unwrap_err().field, "ca_file");
    }
}
