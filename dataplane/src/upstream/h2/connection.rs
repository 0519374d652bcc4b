//! One connection, shared by many requests.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, Reason,
    client::{Builder, SendRequest},
};
use socket2::SockRef;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::Destination;
use crate::{
    clock::{self, Nanos},
    upstream::{ConnectError, stream::Transport},
};

/// Largest head of an answer, bytes.
const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// What a backend may send ahead of a client that reads slowly, bytes per request.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// No bound of its own: clients that do not read must not keep the others of the connection from reading.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// What may wait here for a backend that reads slowly, bytes per request.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How many requests a backend allows that has not told yet: its SETTINGS have not come. No number that can be told.
const NOT_TOLD: usize = usize::MAX - 1;
/// Data that nobody acknowledges for so long ends the connection: the machine behind it is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// With requests on it. gRPC servers hang up on clients that ping more often than every five minutes.
const PING_EVERY: Duration = Duration::from_secs(305);
/// A backend that is alive answers a ping by then.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// A connection on which several requests can be at once.
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    life: Rc<Life>,
    to: Destination,
}

struct Life {
    requests: Cell<usize>,
    idle_since: Cell<Nanos>,
    over: Cell<bool>,
    /// Somebody has waited in vain.
    doubted: Notify,
}

/// A place for one request, given back when dropped.
pub(crate) struct Lease {
    sender: SendRequest<Bytes>,
    life: Rc<Life>,
}

impl Connection {
    /// Begins to speak HTTP/2, and waits until the backend does: from one that ends the connection before, or speaks
    /// something else, no request need be taken back.
    pub(super) async fn start(stream: Transport, to: Destination) -> Result<Self, ConnectError> {
        // Where the system does not know it, the requests' own time-outs have to do.
        let _ = SockRef::from(stream.socket()).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let begun = Builder::new()
            .enable_push(false)
            .max_header_list_size(MAX_HEAD_BYTES)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .initial_max_send_streams(NOT_TOLD)
            .handshake(stream);
        let (sender, mut connection) = begun.await.map_err(fault)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(fault(error))),
            Poll::Ready(Ok(())) => Poll::Ready(Err(fault(Reason::NO_ERROR.into()))),
            Poll::Pending if sender.current_max_send_streams() == NOT_TOLD => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await?;
        let life = Rc::new(Life {
            requests: Cell::new(0),
            idle_since: Cell::new(clock::now()),
            over: Cell::new(false),
            doubted: Notify::new(),
        });
        tokio::task::spawn_local(drive(connection, life.clone()));
        Ok(Self { sender, life, to })
    }

    /// Whether the backend takes further requests on it.
    pub(super) fn is_usable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.life.over.get() && matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Ok(())))
    }

    /// Whether it leads there, and who answers was verified as is asked for now.
    pub(super) fn is_of(&self, to: &Destination) -> bool {
        let (ours, theirs) = (&self.to.backend, &to.backend);
        (ours.scheme, &ours.authority) == (theirs.scheme, &theirs.authority) && self.to.tls.is_same(&to.tls)
    }

    /// How many more requests the backend lets onto it now.
    pub(super) fn room(&self) -> usize {
        self.sender.current_max_send_streams().saturating_sub(self.life.requests.get())
    }

    /// A place for one more request.
    pub(super) fn lease(&self) -> Lease {
        self.life.requests.update(|requests| requests + 1);
        Lease { sender: self.sender.clone(), life: self.life.clone() }
    }

    /// Whether no request was on it since then.
    pub(super) fn is_idle_since(&self, deadline: Nanos) -> bool {
        self.life.requests.get() == 0 && self.life.idle_since.get() < deadline
    }
}

fn fault(error: h2::Error) -> ConnectError {
    ConnectError::Http2(Arc::new(error))
}

impl Lease {
    pub(super) fn sender(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.sender
    }

    /// The backend did not answer in time. Is it alive? If not, nobody need wait for it any longer.
    pub(crate) fn doubt(&self) {
        self.life.doubted.notify_one();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.life.requests.update(|requests| requests - 1);
        self.life.idle_since.set(clock::now());
    }
}

async fn drive(mut connection: h2::client::Connection<Transport, Bytes>, life: Rc<Life>) {
    let pings = connection.ping_pong();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "HTTP/2 connection to a backend ended");
        },
        () = silence(pings, &life) => tracing::debug!("HTTP/2 connection to a backend closed: it answers no ping"),
    }
    life.over.set(true);
}

/// Ends when the backend does not answer a ping.
async fn silence(pings: Option<PingPong>, life: &Life) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::select! {
            () = sleep(PING_EVERY) => {}
            () = life.doubted.notified() => {}
        }
        if life.requests.get() > 0 && timeout(PONG_WITHIN, pings.ping(Ping::opaque())).await.is_err() {
            return;
        }
    }
}
