//! WebSocket over HTTP/2 (RFC 8441): what is a stream on the client's side is a connection of its own to the backend.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{Method, Request};
use hyper::{
    body::Incoming,
    ext::Protocol,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, digest};

use super::Active;
use crate::{
    http1::Fields,
    proxy::{Answer, AnswerBody, Exchange, tunnel},
    server::Worker,
};

/// By RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key, in base64.
const KEY_BYTES: usize = 24;

/// What an extended CONNECT asks for.
pub(super) struct WebSocket {
    stream: OnUpgrade,
    key: Key,
}

/// The key of the handshake with a backend. HTTP/2 has none, so it is made here, and here the answer to it is checked.
#[derive(Clone, Copy)]
pub(super) struct Key([u8; KEY_BYTES]);

impl WebSocket {
    /// `None`: it is another request.
    pub(super) fn asked_for(request: &mut Request<Incoming>, worker: &Worker) -> Option<Self> {
        let protocol = request.extensions().get::<Protocol>()?;
        let is_asked_for = request.method() == Method::CONNECT && protocol.as_str() == "websocket";
        is_asked_for.then(|| Self { stream: upgrade::on(request), key: Key::new([worker.random(), worker.random()]) })
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Carries what comes from either side, once the client has been told that it may.
    pub(super) fn open(self, worker: Rc<Worker>, exchange: Box<Exchange>, active: Active) {
        tokio::task::spawn_local(async move {
            match self.stream.await {
                Ok(client) => tunnel::run(&worker, TokioIo::new(client), Vec::new(), exchange).await,
                Err(error) => tracing::debug!(%error, "a client is gone before its WebSocket is open"),
            }
            drop(active);
        });
    }
}

/// What 101 is in HTTP/2.
pub(super) fn opened(head: Vec<u8>) -> Answer {
    let of_http1 = [&b"connection:"[..], b"upgrade:", b"sec-websocket-accept:", b"http/1.1 "];
    let mut kept = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let begins_with = |name: &&[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if !of_http1.iter().any(begins_with) {
            kept.extend_from_slice(line);
        }
    }
    Answer { status: 200, head: kept, has_date: true, body: AnswerBody::Own("") }
}

impl Key {
    fn new(random: [u64; 2]) -> Self {
        let mut text = [0; KEY_BYTES];
        let bytes = random.map(u64::to_ne_bytes);
        // 16 bytes are 24 in base64.
        let _ = BASE64.encode_slice(bytes.as_flattened(), &mut text);
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether an answer opens the WebSocket, as RFC 6455 section 4.1 asks a client to check, or refuses to. A 2xx does
    /// neither: the client would take it for the opened one.
    pub(super) fn is_answered_by(&self, status: u16, fields: Fields<'_>) -> bool {
        match status {
            101 => fields.get("sec-websocket-accept") == Some(self.accept().as_bytes()),
            _ => !(200..300).contains(&status),
        }
    }

    fn accept(&self) -> String {
        BASE64.encode(digest(&SHA1, &[&self.0, GUID].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_answered_as_the_rfc_s_example_says() {
        assert_eq!(Key(*b"dGhlIHNhbXBsZSBub25jZQ==").accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let key = Key::new([1, 2]);
        assert_eq!(BASE64.decode(key.as_str()).unwrap().len(), 16);
        assert_ne!(key.as_str(), Key::new([1, 3]).as_str());
    }

    #[test]
    fn of_101_what_http2_has_a_place_for_is_left() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUPGRADE: websocket\r\n\
                     Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\nVia: 1.1 balancer\r\n";
        let answer = opened(head.to_vec());
        assert_eq!(answer.status, 200);
        assert_eq!(answer.head, b"Sec-WebSocket-Protocol: chat\r\nVia: 1.1 balancer\r\n");
    }
}
