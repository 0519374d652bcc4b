//! HTTP/2 by the frame (RFC 9113 sections 4 and 6), with the little of HPACK (RFC 7541) that a test needs.

use anyhow::{Result, ensure};
use e2e::{raw::Bytes, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that enters no table, its name written out; names and values below 127 bytes.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(126);
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// The fields of `GET / http` for host `h`.
pub(crate) fn get() -> Vec<u8> {
    [b"\x82\x84\x86".to_vec(), field(":authority", "h")].concat()
}

/// A whole GET on a stream.
pub(crate) fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, get())
}

/// A GET with further fields.
pub(crate) fn request_with(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, [get(), fields].concat())
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that frames are sent on.
pub(crate) struct Http2(pub(crate) Box<dyn Bytes>);

impl Http2 {
    /// Says how one begins: preface and empty SETTINGS.
    pub(crate) async fn begin(stream: Box<dyn Bytes>) -> Result<Self> {
        let mut this = Self(stream);
        this.send([PREFACE, &frame(SETTINGS, 0, 0, "")].concat()).await?;
        Ok(this)
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let sent = async {
            self.0.write_all(bytes.as_ref()).await?;
            self.0.flush().await
        };
        Ok(wait::bounded("send", sent).await??)
    }

    /// Sends bytes that the server need not read to their end: it may have closed the connection, which is seen by
    /// reading.
    pub(crate) async fn offer(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.send(bytes).await;
    }

    /// The next frame; `None`: the server has closed the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        let mut head = [0; 9];
        // A reset ends it as well.
        if wait::bounded("a frame", self.0.read_exact(&mut head)).await?.is_err() {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        ensure!(length <= 16_384, "a frame of {length} bytes");
        let mut payload = vec![0; length as usize];
        if wait::bounded("a payload", self.0.read_exact(&mut payload)).await?.is_err() {
            return Ok(None);
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
    }
}
