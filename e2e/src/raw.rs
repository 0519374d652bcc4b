//! HTTP by the byte.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::wait;

/// Room made for one read.
const READ_BYTES: usize = 64 * 1024;

/// What bytes can be sent to and received from, plain or through TLS.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection whose every byte the story chooses and sees.
pub struct Raw {
    stream: Box<dyn Bytes>,
    unread: Vec<u8>,
}

/// The head of a message: first line and header lines, without the empty line.
#[derive(Clone, Debug)]
pub struct Head(String);

impl Head {
    /// Status line or request line.
    pub fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// Status code of an answer; 0 if this is none.
    pub fn status(&self) -> u16 {
        self.first_line().split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

impl Raw {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::new(wait::bounded("connect", TcpStream::connect(address)).await??))
    }

    /// Takes over a connection.
    pub fn new(stream: TcpStream) -> Self {
        // Only latency depends on it.
        let _ = stream.set_nodelay(true);
        Self::over(Box::new(stream))
    }

    /// Takes over what may be more than a connection.
    pub fn over(stream: Box<dyn Bytes>) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the peer is gone or does not read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        wait::bounded("send", self.stream.write_all(bytes.as_ref())).await?.context("cannot send")
    }

    /// Closes the sending side.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn finish(&mut self) -> Result<()> {
        self.stream.shutdown().await.context("cannot shut down")
    }

    /// Reads a head.
    ///
    /// # Errors
    /// When the peer closes before its end.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head = self.take(end + 4);
                return Ok(Head(String::from_utf8_lossy(&head[..end]).into_owned()));
            }
            ensure!(self.more().await? > 0, "closed before the end of a head: {:?}", text(&self.unread));
        }
    }

    /// Reads exactly `len` bytes.
    ///
    /// # Errors
    /// When the peer closes before.
    pub async fn bytes(&mut self, len: usize) -> Result<Vec<u8>> {
        while self.unread.len() < len {
            ensure!(self.more().await? > 0, "closed after {} of {len} bytes", self.unread.len());
        }
        Ok(self.take(len))
    }

    /// Reads the body that `head` announces: by length or in chunks; a body that ends with the connection to its end.
    ///
    /// # Errors
    /// When it is cut off, or the chunks are no chunks.
    pub async fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        if head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return self.chunks().await;
        }
        match head.header("content-length") {
            Some(len) => self.bytes(len.parse().context("Content-Length is a number")?).await,
            None => self.rest().await,
        }
    }

    /// Reads an answer: head and body. One to HEAD, or with 204 or 304, has no body.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    pub async fn answer(&mut self) -> Result<(Head, String)> {
        let head = self.head().await?;
        let body = if matches!(head.status(), 204 | 304) { Vec::new() } else { self.body(&head).await? };
        Ok((head, text(&body)))
    }

    /// Reads until the peer closes.
    ///
    /// # Errors
    /// When it does not, or resets the connection.
    pub async fn rest(&mut self) -> Result<Vec<u8>> {
        while self.more().await? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else { bail!("not a chunk size: {line:?}") };
            if size == 0 {
                // Trailers, up to the empty line.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.bytes(size).await?);
            ensure!(self.line().await?.is_empty(), "no line end after a chunk");
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                let line = self.take(end + 2);
                return Ok(text(&line[..end]));
            }
            ensure!(self.more().await? > 0, "closed in the middle of a line");
        }
    }

    async fn more(&mut self) -> Result<usize> {
        self.unread.reserve(READ_BYTES);
        Ok(wait::bounded("more bytes", self.stream.read_buf(&mut self.unread)).await??)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.unread.drain(..len).collect()
    }
}

/// Sends a request and reads the answer's head and body.
///
/// # Errors
/// When there is no whole answer.
pub async fn exchange(address: SocketAddr, request: &str) -> Result<(Head, String)> {
    let mut raw = Raw::connect(address).await?;
    raw.send(request).await?;
    raw.answer().await
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
