//! One log line per request, when asked for.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Method, Request, Uri};

use crate::{
    clock::{self, Nanos},
    pool::Backend,
};

/// What is known of a request while it is being answered. Never holds a header: keys and tokens travel there.
pub(crate) struct AccessRecord {
    started: Nanos,
    peer: SocketAddr,
    method: Method,
    target: Uri,
    pub(super) client: Option<IpAddr>,
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
}

impl AccessRecord {
    pub(super) fn new<B>(peer: SocketAddr, request: &Request<B>) -> Box<Self> {
        Box::new(Self {
            started: clock::now(),
            peer,
            method: request.method().clone(),
            target: request.uri().clone(),
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
            path = self.target.path(),
            status = self.status,
            sent_bytes = self.sent_bytes,
            backend = self.backend.as_ref().map(|b| b.authority.as_str()),
            duration_ms = clock::now().since(self.started) as f64 / 1e6,
            "request"
        );
    }
}
