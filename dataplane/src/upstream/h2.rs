//! HTTP/2 to backends: the connections of one thread, each shared by the requests of that thread.
//!
//! There is one connection per backend as long as the backend lets enough requests onto it. A backend with `https://`
//! may choose HTTP/1.1 in the handshake instead; what it chose is remembered, so that requests then do not wait for a
//! connection that is not theirs.

mod answer;
mod connection;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod request;
mod stream;
mod translated;
mod upload;

#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared, WeakShared},
};

pub(crate) use self::translated::Translated;
use self::{
    connection::{Connection, Lease},
    stream::{Failed, Http2Stream},
};
use super::{
    ConnectError,
    connect::{reach, within_limit},
    stream::Transport,
};
use crate::{
    backend_tls::BackendTls,
    clock::Nanos,
    pool::{Backend, Scheme},
};

/// Most connections to one backend. Beyond them requests wait for their turn on one of these.
const MAX_CONNECTIONS: usize = 8;

/// Most connections that one request waits for.
const MAX_DIALS: usize = 3;

/// The connections of one thread, by backend id. Never borrowed across an await.
#[derive(Default)]
pub(crate) struct Http2Pool {
    backends: RefCell<HashMap<u64, Entry, foldhash::fast::RandomState>>,
}

#[derive(Default)]
struct Entry {
    connections: Vec<Rc<Connection>>,
    /// The connection that is being made, as long as somebody waits for it.
    dialing: Option<WeakShared<Dialing>>,
    /// The backend has chosen HTTP/1.1.
    prefers_http1: bool,
}

type Dialing = LocalBoxFuture<'static, Result<Dialed, ConnectError>>;

/// A connection that was made, for all who waited.
#[derive(Clone)]
enum Dialed {
    Http2(Rc<Connection>),
    /// Only one of them can have it.
    Http1(Rc<Cell<Option<Transport>>>),
}

/// A way to a backend.
pub(crate) enum Way {
    /// A place on a shared connection.
    Http2(Lease),
    /// A connection of one's own: the backend has chosen HTTP/1.1.
    Http1(Transport),
}

/// Where to, and how.
#[derive(Clone)]
pub(crate) struct Destination {
    /// With `https://` or `h2c://`.
    pub(crate) backend: Arc<Backend>,
    pub(crate) tls: BackendTls,
    /// For making a connection.
    pub(crate) limit: Duration,
}

impl Http2Pool {
    /// A place on a connection that stands, or a new one.
    pub(crate) async fn way(&self, to: &Destination) -> Result<Way, ConnectError> {
        for _ in 0..MAX_DIALS {
            if let Some(lease) = self.lease(to, 1) {
                return Ok(Way::Http2(lease));
            }
            let dialed = if self.prefers_http1(to.backend.id) { dial(to.clone()).await } else { self.join(to).await };
            match dialed? {
                Dialed::Http2(connection) => self.adopt(to.backend.id, connection),
                Dialed::Http1(stream) => {
                    self.entry(to.backend.id, |entry| entry.prefers_http1 = true);
                    if let Some(stream) = stream.take() {
                        return Ok(Way::Http1(stream));
                    }
                }
            }
        }
        // The backend does not want more: what there is has to do.
        let gone = || ConnectError::Http2(Arc::new(h2::Reason::REFUSED_STREAM.into()));
        self.lease(to, 0).map(Way::Http2).ok_or_else(gone)
    }

    /// Waits for the one connection that is being made.
    async fn join(&self, to: &Destination) -> Result<Dialed, ConnectError> {
        let dialing = self.entry(to.backend.id, |entry| {
            let current = entry.dialing.as_ref().and_then(WeakShared::upgrade);
            current.filter(|dialing| dialing.peek().is_none()).unwrap_or_else(|| {
                let dialing: Shared<Dialing> = dial(to.clone()).boxed_local().shared();
                entry.dialing = dialing.downgrade();
                dialing
            })
        });
        dialing.await
    }

    fn adopt(&self, backend_id: u64, connection: Rc<Connection>) {
        self.entry(backend_id, |entry| {
            entry.prefers_http1 = false;
            if !entry.connections.iter().any(|known| Rc::ptr_eq(known, &connection)) {
                entry.connections.push(connection);
            }
        });
    }

    /// A place on the connection with the most room, at least so much; `None`: another one is to be made.
    fn lease(&self, to: &Destination, room: usize) -> Option<Lease> {
        self.entry(to.backend.id, |entry| {
            entry.connections.retain(|connection| connection.is_usable());
            let verified = |connection: &&Rc<Connection>| connection.is_of(to);
            let roomiest = entry.connections.iter().filter(verified).max_by_key(|connection| connection.room())?;
            let enough = roomiest.room() >= room || entry.connections.len() >= MAX_CONNECTIONS;
            enough.then(|| roomiest.lease())
        })
    }

    fn prefers_http1(&self, backend_id: u64) -> bool {
        self.entry(backend_id, |entry| entry.prefers_http1)
    }

    /// Lets go of connections without a request since `deadline`, of those that are over, and of those to backends that
    /// are not `known`.
    pub(crate) fn sweep(&self, deadline: Nanos, known: impl Fn(u64) -> bool) {
        self.backends.borrow_mut().retain(|id, entry| {
            entry.connections.retain(|connection| connection.is_usable() && !connection.is_idle_since(deadline));
            known(*id)
        });
    }

    fn entry<T>(&self, backend_id: u64, use_it: impl FnOnce(&mut Entry) -> T) -> T {
        use_it(self.backends.borrow_mut().entry(backend_id).or_default())
    }
}

async fn dial(to: Destination) -> Result<Dialed, ConnectError> {
    within_limit(&to, async {
        let stream = reach(&to, to.tls.offering_any()).await?;
        if to.backend.scheme == Scheme::H2c || stream.chose_http2() {
            return Ok(Dialed::Http2(Rc::new(Connection::start(stream, to.clone()).await?)));
        }
        Ok(Dialed::Http1(Rc::new(Cell::new(Some(stream)))))
    })
    .await
}
