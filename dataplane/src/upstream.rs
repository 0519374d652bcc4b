//! A connection to a backend, driven inline by the request that uses it.
//!
//! hyper splits a client connection into a handle that sends requests and a future that does the I/O. Usually the
//! future is spawned as a task of its own, and every message then crosses a channel and costs a wake-up. Here the
//! request polls the future itself ([`Upstream::drive`]): the backend's bytes wake the task that waits for them.

mod body;
mod connect;
mod expect;
#[allow(dead_code, unused_imports, reason = "requests do not take this way yet")]
mod h2;
mod idle;
mod stream;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;

pub(crate) use body::RequestBody;
pub(crate) use connect::{ConnectError, connect};
pub(crate) use expect::hold_until_asked;
pub(crate) use idle::IdlePool;
pub(crate) use stream::BackendStream;

/// An open HTTP/1.1 connection to a backend, with at most one request on it at a time.
pub(crate) struct Upstream {
    sender: http1::SendRequest<RequestBody>,
    io: Io,
}

/// The half that does the I/O. Boxed: it moves between the pool and requests.
struct Io {
    connection: Box<http1::Connection<TokioIo<BackendStream>, RequestBody>>,
    /// hyper has finished with it; it must not be polled again.
    finished: bool,
}

impl Io {
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The error, if any, also reaches the request or the body through hyper's channels.
        self.finished = self.finished || Pin::new(&mut *self.connection).poll(cx).is_ready();
        if self.finished { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Why a request that was handed to a connection has no answer.
pub(crate) struct SendError {
    /// hyper's reason.
    pub(crate) error: hyper::Error,
    /// The request, if not one byte of it was written.
    pub(crate) unsent: Option<Request<RequestBody>>,
}

impl Upstream {
    /// Does what I/O can be done now. Ready when the connection is finished, for good or ill.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.drive(cx)
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, SendError> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let io = &mut self.io;
        let result = poll_fn(|cx| {
            let _ = io.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await;
        result.map_err(|mut e: TrySendError<_>| SendError { unsent: e.take_message(), error: e.into_error() })
    }

    /// After 101: the socket, and what was read beyond the head.
    pub(crate) async fn into_tunnel(mut self) -> (BackendStream, Bytes) {
        // hyper lets go of a connection when its future ends.
        poll_fn(|cx| self.io.drive(cx)).await;
        let parts = self.io.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }

    /// Whether another request can be sent on it. Looks at the socket: notices a backend that closed it, or said
    /// something nobody asked for, as far as the reactor has heard of it.
    pub(crate) fn is_usable(&mut self) -> bool {
        // Nobody waits for an idle connection, so nobody need be woken.
        self.drive(&mut Context::from_waker(Waker::noop())).is_pending() && self.sender.is_ready()
    }
}
