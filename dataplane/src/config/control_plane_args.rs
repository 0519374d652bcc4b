//! Flags of TLS to control planes.

use std::path::PathBuf;

use http::Uri;

use super::{ConfigError, check::error};
use crate::sync::{ControlPlaneTls, Identity};

/// Whom to believe to be a control plane, and who this data plane is to it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ControlPlaneTlsArgs {
    /// Authorities (PEM) to verify https:// control planes with [default: the public ones]
    #[arg(long, env = "BALANCER_CONTROL_PLANE_CA", value_name = "FILE", default_value = "", hide_default_value = true)]
    pub control_plane_ca: String,

    /// Certificate (PEM, with its chain) to show to control planes that ask for one
    #[arg(
        long,
        env = "BALANCER_CONTROL_PLANE_CERT",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub control_plane_cert: String,

    /// Private key (PEM) of --control-plane-cert
    #[arg(
        long,
        env = "BALANCER_CONTROL_PLANE_KEY",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub control_plane_key: String,
}

impl ControlPlaneTlsArgs {
    /// What they stand for, after a look at the files. They are an error if no control plane is spoken to by TLS:
    /// whoever gives them believes that it is.
    pub(super) fn tls(&self, control_planes: &[Uri]) -> Result<ControlPlaneTls, ConfigError> {
        let tls = ControlPlaneTls { ca: path(&self.control_plane_ca), identity: self.identity()? };
        let encrypted = control_planes.iter().any(|uri| uri.scheme_str() == Some("https"));
        let (ca, cert) =
            (("control-plane-ca", &self.control_plane_ca), ("control-plane-cert", &self.control_plane_cert));
        for (flag, text) in [ca, cert] {
            if !encrypted && !text.is_empty() {
                return Err(error(flag, text, "none, or a --control-plane with https://"));
            }
        }
        tls.check().map_err(|fault| {
            let (flag, text) = if tls.ca.as_ref() == Some(&fault.path) { ca } else { cert };
            error(flag, text, format!("a PEM file that can be used ({fault})"))
        })?;
        Ok(tls)
    }

    fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        match (path(&self.control_plane_cert), path(&self.control_plane_key)) {
            (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
            (Some(_), None) => {
                Err(error("control-plane-cert", &self.control_plane_cert, "--control-plane-key beside it"))
            }
            (None, Some(_)) => {
                Err(error("control-plane-key", &self.control_plane_key, "--control-plane-cert beside it"))
            }
            (None, None) => Ok(None),
        }
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}
