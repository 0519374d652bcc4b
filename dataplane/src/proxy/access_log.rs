//! One log line per request, when asked for.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    clock::{self, Nanos},
    http1::Head,
    pool::Backend,
};

/// What is known of a request while it is being answered. Never holds a header: keys and tokens travel there.
pub(crate) struct AccessRecord {
    started: Nanos,
    peer: SocketAddr,
    method: String,
    path: String,
    pub(super) client: Option<IpAddr>,
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
}

impl AccessRecord {
    /// `None`: what came is not a request.
    pub(super) fn new(peer: SocketAddr, head: Option<&Head>) -> Box<Self> {
        let path = head.and_then(|head| head.target().split(|byte| *byte == b'?').next());
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned());
        Box::new(Self {
            started: clock::now(),
            peer,
            method: text(head.map(Head::method)),
            path: text(path),
            client: None,
            backend: None,
            status: 0,
            sent_bytes: 0,
        })
    }

    /// Writes the line. A status of 0 says that the client left before there was one.
    pub(super) fn log(&self) {
        tracing::info!(
            target: "access",
            peer = %self.peer,
            client = %self.client.unwrap_or(self.peer.ip()),
            method = %self.method,
            path = %self.path,
            status = self.status,
            sent_bytes = self.sent_bytes,
            backend = self.backend.as_ref().map(|b| b.authority.as_str()),
            duration_ms = clock::now().since(self.started) as f64 / 1e6,
            "request"
        );
    }
}
