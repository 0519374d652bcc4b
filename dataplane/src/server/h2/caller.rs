//! A client of HTTP/2, as forwarding sees it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body::Body;
use hyper::body::Incoming;

use super::websocket::Key;
use crate::{
    http1::{Fault, Fields, Form, may_trail, put_field},
    proxy::{Caller, CallerGone},
    server::{Deadline, Worker},
};

/// Much more than a frame holds (RFC 9113 section 4.2) would only wait.
const PART_BYTES: usize = 16 * 1024;

/// The sender of one request.
pub(super) struct Http2Caller {
    incoming: Incoming,
    /// Its body goes on as it is; else in chunks.
    has_length: bool,
    /// Names of the trailers that may be passed on.
    announced: Vec<u8>,
    /// A part of the body as it goes on, of which so much is sent.
    part: Vec<u8>,
    sent: usize,
    is_over: bool,
    /// By when the next part must come. `None`: there is no body, or an answer has begun, and its backend's silence is
    /// what is measured: a call of gRPC may say nothing for long.
    due: Option<Arc<Deadline>>,
    patience: Duration,
    fault: Option<Fault>,
    /// He asks for a WebSocket.
    websocket: Option<Key>,
}

impl Http2Caller {
    pub(super) fn new(parts: &Parts, incoming: Incoming, websocket: Option<Key>, worker: &Worker) -> Self {
        let (is_over, has_length) = (incoming.is_end_stream(), parts.headers.contains_key(header::CONTENT_LENGTH));
        let announced: Vec<_> = parts.headers.get_all(header::TRAILER).iter().map(|names| names.as_bytes()).collect();
        Self {
            incoming,
            has_length,
            announced: announced.join(&b','),
            part: Vec::new(),
            sent: 0,
            is_over,
            due: (!is_over).then(|| worker.timers.deadline()),
            patience: worker.options.client_idle_timeout,
            fault: None,
            websocket,
        }
    }

    /// An answer has begun.
    pub(super) fn is_answered(&mut self) {
        self.due = None;
    }

    /// Whether there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// Makes a part of the body ready, and behind the last one what ends it.
    fn put(&mut self, data: &Bytes) {
        self.part.clear();
        self.sent = 0;
        if self.has_length {
            self.part.extend_from_slice(data);
        } else if !data.is_empty() {
            self.part.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            self.part.extend_from_slice(data);
            self.part.extend_from_slice(b"\r\n");
        }
    }

    /// Fails once nothing has come for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallerGone>> {
        let Some(due) = &self.due else { return Poll::Pending };
        if !due.is_set() {
            due.set(self.patience);
        }
        ready!(due.poll_passed(cx));
        self.fault = Some(Fault::Slow);
        Poll::Ready(Err(CallerGone))
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        self.is_over = true;
        if self.has_length {
            return;
        }
        self.part.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.iter().flatten() {
            if may_trail(name.as_str().as_bytes(), &self.announced) {
                put_field(&mut self.part, name.as_str(), value.as_bytes());
            }
        }
        self.part.extend_from_slice(b"\r\n");
    }
}

impl Caller for Http2Caller {
    fn understands(&self, status: u16, fields: Fields<'_>) -> bool {
        self.websocket.is_none_or(|key| key.is_answered_by(status, fields))
    }

    fn ready(&self) -> &[u8] {
        &self.part[self.sent..]
    }

    fn advance(&mut self, sent: usize) {
        self.sent += sent;
    }

    fn is_over(&self) -> bool {
        self.is_over && self.ready().is_empty()
    }

    fn settle(&mut self) {}

    fn poll_more(&mut self, cx: &mut Context<'_>, _to_socket: bool) -> Poll<Result<(), CallerGone>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else { return self.poll_patience(cx) };
        let frame = frame.transpose().map_err(|_| CallerGone)?;
        self.due.iter().for_each(|due| due.clear());
        self.put(&Bytes::new());
        match frame.map(http_body::Frame::into_data) {
            Some(Ok(data)) => self.put(&data),
            Some(Err(frame)) => self.end(frame.into_trailers().ok()),
            None => self.end(None),
        }
        if !self.is_over && self.incoming.is_end_stream() {
            self.end(None);
        }
        Poll::Ready(Ok(()))
    }

    fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn ask(&mut self) {}

    /// hyper cannot send them.
    fn hears_interim(&self) -> bool {
        false
    }

    fn tell(&mut self, _interim: &[u8]) {}

    fn poll_told(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallerGone>> {
        Poll::Ready(Ok(()))
    }

    fn form(&self) -> Form {
        Form::Data
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES
    }

    fn takes_trailers(&self) -> bool {
        true
    }
}
