//! One client with its connection.

use std::{cell::Cell, io, rc::Rc, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::Args;

/// Whom to ask, and what.
pub(crate) struct Target {
    port: u16,
    requests: Vec<Vec<u8>>,
    next: Cell<usize>,
    new_connections: bool,
    tls: Option<TlsConnector>,
}

impl Target {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            port: args.port,
            requests: (0..args.keys.max(1)).map(|key| request(args, key)).collect(),
            next: Cell::default(),
            new_connections: args.new_connections,
            tls: args.tls.as_ref().map(|path| trusting(path)),
        }
    }

    fn next_request(&self) -> &[u8] {
        let next = self.next.get();
        self.next.set((next + 1) % self.requests.len());
        &self.requests[next]
    }
}

fn request(args: &Args, key: usize) -> Vec<u8> {
    let method = if args.post > 0 { "POST" } else { "GET" };
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nAccept: */*\r\n", args.path);
    if args.keys > 0 {
        head += &format!("X-API-Key: client-{key}\r\n");
    }
    if args.post > 0 {
        head += &format!("Content-Length: {}\r\n", args.post);
    }
    if args.new_connections {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    let mut request = head.into_bytes();
    request.resize(request.len() + args.post, b'y');
    request
}

fn trusting(certificate: &std::path::Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

pub(crate) struct Client {
    target: Rc<Target>,
    stream: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(target: Rc<Target>) -> Self {
        Self { target, stream: None, buffer: Vec::with_capacity(64 << 10) }
    }

    /// Makes a request; returns the status of its answer when the last byte is there.
    pub(crate) async fn request(&mut self) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.target).await?,
        };
        stream.write_all(self.target.next_request()).await?;
        let (status, closes) = read_answer(&mut stream, &mut self.buffer).await?;
        if !closes && !self.target.new_connections {
            self.stream = Some(stream);
        }
        Ok(status)
    }
}

async fn connect(target: &Target) -> io::Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect(("127.0.0.1", target.port)).await?;
    tcp.set_nodelay(true)?;
    let Some(tls) = &target.tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Box::new(tls.connect(name, tcp).await?))
}

/// The status, and whether the connection ends here.
async fn read_answer(stream: &mut Box<dyn Stream>, buffer: &mut Vec<u8>) -> io::Result<(u16, bool)> {
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&buffer[..end + 2]).to_ascii_lowercase();
        }
    };
    let value = |name: &str| head.split(name).nth(1)?.split("\r\n").next().map(str::trim);
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length: usize = value("\r\ncontent-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    let closes = value("\r\nconnection:") == Some("close");
    let mut left = (head.len() + 2 + length).saturating_sub(buffer.len());
    while left > 0 {
        buffer.clear();
        match stream.read_buf(buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left = left.saturating_sub(count),
        }
    }
    Ok((status, closes))
}
