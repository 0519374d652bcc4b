//! Sockets that already listen.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::net::TcpListener;

use crate::Token;

/// Where a control plane answers. A [`TcpListener`] alone is the admin port.
#[derive(Debug)]
pub struct Listeners {
    /// The admin port.
    pub admin: TcpListener,
    /// A way in for a data plane of the same process.
    pub internal: Option<Internal>,
    /// Who else `/readyz` speaks for.
    pub companion: Option<Companion>,
}

impl From<TcpListener> for Listeners {
    fn from(admin: TcpListener) -> Self {
        Self { admin, internal: None, companion: None }
    }
}

/// Another server in the process, without which the process is not ready.
#[derive(Clone)]
pub struct Companion(Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl Companion {
    /// `fault` says why it is not ready; `None`: it is.
    pub fn new(fault: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(fault))
    }

    pub(crate) fn fault(&self) -> Option<String> {
        (self.0)()
    }
}

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Companion").field(&self.fault()).finish()
    }
}

/// A listener for a data plane of the same process, where the admin port asks for certificates that it cannot have: on
/// loopback, without TLS, for `DataPlaneService` only, and with a token that nobody else is told.
#[derive(Debug)]
pub struct Internal {
    pub(crate) listener: TcpListener,
    token: Token,
}

impl Internal {
    /// Listens on a free port, with a new token.
    ///
    /// # Errors
    /// When the system has no port or no randomness to give.
    pub async fn open() -> io::Result<Self> {
        let token = Token::random().map_err(|_| io::Error::other("the system has no random numbers to give"))?;
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, token })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What the data plane must send.
    pub fn token(&self) -> &Token {
        &self.token
    }
}
