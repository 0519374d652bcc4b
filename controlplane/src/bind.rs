//! Sockets that listen for many at once.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
};

use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait to be accepted. All data planes come back in one moment when a control plane was gone; who
/// finds the queue full is not told, and tries again after a second. The kernel allows no more than `net.core.somaxconn`.
const QUEUE: u32 = 4096;

/// Listens on the first of the host's addresses that can be had.
pub(crate) async fn bind(host: &str, port: u16) -> Result<TcpListener> {
    let mut fault = Error::new(ErrorKind::InvalidInput, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the program that was here before may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{net::TcpStream, time::timeout};

    use super::*;

    #[tokio::test]
    async fn hundreds_may_come_before_the_first_is_accepted() {
        let listener = bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let all = futures_util::future::join_all((0..300).map(|_| TcpStream::connect(address)));
        // Whoever finds no room takes a second at least, and most of those more.
        let all = timeout(Duration::from_secs(20), all).await.unwrap();
        assert!(all.iter().all(std::result::Result::is_ok));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let first = bind("localhost", 0).await.unwrap();
        let address = first.local_addr().unwrap();
        let second = bind(&address.ip().to_string(), address.port()).await;
        assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
