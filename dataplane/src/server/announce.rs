//! Reading the PROXY protocol header in front of a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::proxy_protocol::{MAX_HEADER_BYTES, Malformed, parse};

/// Balancers in front, each of whose connections must begin with a PROXY protocol header. Others are not served: who
/// may write that header may claim any address.
#[derive(Clone, Debug)]
pub struct Announcers(Arc<[IpNet]>);

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnnounceError {
    #[error("the peer is not one of those that may send a PROXY protocol header")]
    Stranger,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("there was no PROXY protocol header in time")]
    Late,
    #[error("the connection broke off before its PROXY protocol header: {0}")]
    Io(#[from] io::Error),
}

impl Announcers {
    /// Those that connect from these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Takes the header off the connection. Returns the client that it names, else `peer`.
    pub(super) async fn client(&self, stream: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, AnnounceError> {
        if !self.may_announce(peer.ip()) {
            return Err(AnnounceError::Stranger);
        }
        Ok(read_header(stream).await?.unwrap_or(peer))
    }

    fn may_announce(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Looks before it takes, so that not one byte of what follows is taken.
async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, AnnounceError> {
    let mut bytes = Box::new([0; MAX_HEADER_BYTES]);
    let mut taken = 0;
    loop {
        let seen = taken + stream.peek(&mut bytes[taken..]).await?;
        if seen == taken {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let header = parse(&bytes[..seen])?;
        // Of an incomplete header all bytes are its own; taking them lets the next look wait for more.
        let end = header.map_or(seen, |header| header.length);
        stream.read_exact(&mut bytes[taken..end]).await?;
        taken = end;
        if let Some(header) = header {
            return Ok(header.client);
        }
    }
}
