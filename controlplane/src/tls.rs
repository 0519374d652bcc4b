//! TLS on the admin port: who we are, and whom we let in.

mod load;
mod watch;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

pub(crate) use watch::keep_fresh;

use crate::domain::Invalid;

/// What TLS is set up from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the port's certificate first, then those that sign it.
    pub cert: PathBuf,
    /// PEM: its private key, as PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// PEM: the authorities of which every caller must have a certificate; `None`: callers need none.
    pub client_ca: Option<PathBuf>,
}

/// TLS as it is served now. Cheap to clone; all clones see a reload, connections that stand do not.
#[derive(Clone)]
pub struct AdminTls {
    current: Arc<ArcSwap<Loaded>>,
}

struct Loaded {
    files: TlsFiles,
    /// How they were just before they were read.
    seen: watch::State,
    config: Arc<ServerConfig>,
}

impl AdminTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the key of the configuration (`cert`, `key` or `client_ca`) whose file cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, Invalid> {
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(Loaded::read(files)?)) })
    }

    /// Reads the same files again; on an error, what was read before stays.
    pub(crate) fn reload(&self) -> Result<(), Invalid> {
        self.current.store(Arc::new(Loaded::read(self.files())?));
        Ok(())
    }

    /// Serves from now on what `other` was made of.
    pub(crate) fn adopt(&self, other: &Self) {
        self.current.store(other.current.load_full());
    }

    /// What it was made of.
    pub fn files(&self) -> TlsFiles {
        self.current.load().files.clone()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().config.clone())
    }
}

impl Loaded {
    fn read(files: TlsFiles) -> Result<Self, Invalid> {
        let seen = watch::state(&files);
        let config = Arc::new(load::server_config(&files)?);
        Ok(Self { files, seen, config })
    }
}

impl std::fmt::Debug for AdminTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AdminTls").field(&self.current.load().files).finish()
    }
}
