//! Listening sockets, one per thread, on one address.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per listener.
const BACKLOG: i32 = 4096;
/// Bytes that may wait in the kernel to be sent to a client, at most. The kernel would take 4 MB, and let more in only when
/// a third of that is gone: a client that reads slowly would look like one that does not read at all.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;

/// Binds `threads` listeners to `address`. Port 0 becomes the same free port for all.
///
/// # Errors
/// `AddrInUse` when somebody, even another Balancer, listens there already.
pub fn bind(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second process share the port unnoticed: first see whether it is free.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..threads.max(1)).map(|_| listen(address)).collect()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    // The connections accepted here inherit these, which saves calls for each. A failure costs latency, not correctness.
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor in TIME_WAIT must not keep the port from us.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_share_one_port_and_a_second_instance_is_refused() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == address));
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_is_written_to_an_accepted_connection_does_not_wait() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        assert!(listeners[0].accept().unwrap().0.nodelay().unwrap());
    }
    /// A client that reads nothing but a little now and then is seen to read: what waits for it is not far ahead of it.
    #[test]
    #[cfg(target_os = "linux")]
    fn little_waits_in_the_kernel_for_a_client_that_does_not_read() {
        use std::io::Write;
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        client.set_recv_buffer_size(4096).unwrap();
        client.connect(&listeners[0].local_addr().unwrap().into()).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let (mut accepted, _) = listeners[0].accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = accepted.write(&[b'x'; 16 * 1024]) {
            written += count;
        }
        assert!(written <= 3 * UNSENT_BYTES as usize, "{written} bytes");
    }
}
