//! A backend that writes down everything it is sent and answers as it is told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use e2e::wait;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::wire::{self, Seen};

/// How the control plane's health check begins; it is no proxy, and not what is examined here.
const HEALTH_CHECK: &[u8] = b"GET /health HTTP/1.1\r\n";

/// In a reply: the value of `Sec-WebSocket-Accept` that is due.
pub(crate) const ACCEPT: &str = "{accept}";

/// What a target is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Bytes on the wire.
    pub(crate) bytes: Vec<u8>,
    /// What follows them.
    pub(crate) then: Then,
    /// Answer at the end of the head, whatever of the body is still to come.
    pub(crate) early: bool,
}

/// What happens to the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request is read.
    Keep,
    /// It is closed.
    Close,
    /// It stays open and nothing more is said.
    Hold,
    /// It is a tunnel now: what comes is sent back.
    Tunnel,
}

/// The backend. It counts a health check nowhere.
pub(crate) struct Recorder {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    replies: Mutex<HashMap<String, Reply>>,
    record: Mutex<Record>,
    connections: AtomicUsize,
    /// Connections that hold part of a request.
    unfinished: AtomicUsize,
    /// Keep no connection after an answer.
    closing: AtomicBool,
}

/// What has arrived.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Whole requests in order.
    pub(crate) seen: Vec<Seen>,
    /// Requests that ended before they were whole.
    pub(crate) cut: Vec<String>,
    /// What must never stand on a backend's wire.
    pub(crate) violations: Vec<String>,
    /// Bytes that were there before the answer 101.
    pub(crate) hasty: Vec<u8>,
}

impl Recorder {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, state.clone()));
        Ok(Self { address, state, _accepting: accepting })
    }

    /// As the configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests for `target` so from now on.
    pub(crate) fn reply(&self, target: &str, bytes: impl AsRef<[u8]>, then: Then) {
        self.set(target, Reply { bytes: bytes.as_ref().to_vec(), then, early: false });
    }

    /// As [`reply`](Self::reply), at the end of the request's head.
    pub(crate) fn reply_early(&self, target: &str, bytes: impl AsRef<[u8]>, then: Then) {
        self.set(target, Reply { bytes: bytes.as_ref().to_vec(), then, early: true });
    }

    fn set(&self, target: &str, reply: Reply) {
        lock(&self.state.replies).insert(target.to_owned(), reply);
    }

    /// Whether connections are closed after each answer, without saying so before.
    pub(crate) fn close_after_answers(&self, closing: bool) {
        self.state.closing.store(closing, SeqCst);
    }

    /// What has arrived since the last call, once no request is half there.
    pub(crate) async fn take(&self) -> Result<Record> {
        let idle = async || self.state.unfinished.load(SeqCst) == 0;
        wait::until_true("no half request at the backend", idle).await?;
        Ok(std::mem::take(&mut *lock(&self.state.record)))
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = state.connections.fetch_add(1, SeqCst);
        let mut connection =
            Connection { stream, state: state.clone(), number, held: Vec::new(), counted: false, asked: false };
        connections.spawn(async move {
            // A proxy that hangs up is no fault; what it had said is recorded.
            let _ = connection.serve().await;
            connection.end();
        });
    }
}

struct Connection {
    stream: TcpStream,
    state: Arc<State>,
    number: usize,
    held: Vec<u8>,
    /// Whether it counts as unfinished.
    counted: bool,
    /// Whether the body of the request that is coming in was asked for.
    asked: bool,
}

impl Connection {
    async fn serve(&mut self) -> std::io::Result<()> {
        loop {
            let Some((seen, reply)) = self.next().await? else { return Ok(()) };
            let then = self.answer(&seen, reply).await?;
            match then {
                Then::Keep if !self.state.closing.load(SeqCst) => {}
                Then::Keep | Then::Close => return self.stream.shutdown().await,
                Then::Hold => while self.stream.read(&mut [0; 4096]).await? > 0 {},
                Then::Tunnel => return self.echo().await,
            }
        }
    }

    /// The next request and its reply. `None`: there is no more, or it was not one.
    async fn next(&mut self) -> std::io::Result<Option<(Seen, Reply)>> {
        loop {
            match self.parse() {
                Ok(Some(next)) => return Ok(Some(next)),
                Ok(None) => {
                    self.count(!self.held.is_empty());
                    self.ask().await?;
                }
                Err(violation) => {
                    self.held.clear();
                    lock(&self.state.record).violations.push(violation);
                    return Ok(None);
                }
            }
            if self.stream.read_buf(&mut self.held).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Says 100 to a request that waits for it.
    async fn ask(&mut self) -> std::io::Result<()> {
        let waits =
            wire::head(&self.held).is_ok_and(|head| head.is_some_and(|(seen, _)| seen.all("expect").len() == 1));
        if waits && !self.asked {
            self.asked = true;
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(())
    }

    fn parse(&mut self) -> Result<Option<(Seen, Reply)>, String> {
        if self.held.starts_with(HEALTH_CHECK) && self.held.ends_with(b"\r\n\r\n") {
            self.held.clear();
            return Ok(Some((Seen::default(), Reply { bytes: ok("GET"), then: Then::Close, early: false })));
        }
        if let Some((seen, length)) = wire::request(&self.held)? {
            self.held.drain(..length);
            let reply = self.reply(&seen);
            self.note(&seen);
            return Ok(Some((seen, reply)));
        }
        let Some((seen, _)) = wire::head(&self.held)? else { return Ok(None) };
        let reply = self.reply(&seen);
        Ok(reply.early.then_some((seen, reply)))
    }

    fn note(&mut self, seen: &Seen) {
        lock(&self.state.record).seen.push(Seen { connection: self.number, ..seen.clone() });
        self.count(false);
        self.asked = false;
    }

    fn reply(&self, seen: &Seen) -> Reply {
        let path = seen.target().split('?').next().unwrap_or_default();
        let set = lock(&self.state.replies).get(path).cloned();
        set.unwrap_or_else(|| Reply { bytes: ok(seen.method()), then: Then::Keep, early: false })
    }

    async fn answer(&mut self, seen: &Seen, reply: Reply) -> std::io::Result<Then> {
        if reply.then == Then::Tunnel && seen.is_upgrade() {
            self.look_for_haste().await?;
        }
        self.stream.write_all(&accepting(&reply.bytes, seen)).await?;
        self.stream.flush().await?;
        Ok(reply.then)
    }

    /// Gives bytes that should wait for 101 the time to arrive.
    async fn look_for_haste(&mut self) -> std::io::Result<()> {
        let patience = std::time::Duration::from_millis(100);
        if let Ok(read) = tokio::time::timeout(patience, self.stream.read_buf(&mut self.held)).await {
            read?;
        }
        let hasty = std::mem::take(&mut self.held);
        lock(&self.state.record).hasty.extend(hasty);
        Ok(())
    }

    async fn echo(&mut self) -> std::io::Result<()> {
        let (mut from, mut to) = self.stream.split();
        tokio::io::copy(&mut from, &mut to).await?;
        to.shutdown().await
    }

    fn count(&mut self, unfinished: bool) {
        match (self.counted, unfinished) {
            (false, true) => self.state.unfinished.fetch_add(1, SeqCst),
            (true, false) => self.state.unfinished.fetch_sub(1, SeqCst),
            _ => 0,
        };
        self.counted = unfinished;
    }

    fn end(&mut self) {
        if !self.held.is_empty() {
            lock(&self.state.record).cut.push(String::from_utf8_lossy(&self.held).into_owned());
        }
        self.count(false);
    }
}

/// The reply, with what answers the request's key (RFC 6455 section 1.3) where it says so.
fn accepting(reply: &[u8], seen: &Seen) -> Vec<u8> {
    let Ok(text) = str::from_utf8(reply) else { return reply.to_vec() };
    let keyed = [seen.all("sec-websocket-key").concat().as_str(), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    text.replace(ACCEPT, &BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, keyed.as_bytes()))).into_bytes()
}

/// A plain answer; one to HEAD has no body.
fn ok(method: &str) -> Vec<u8> {
    let body = if method == "HEAD" { "" } else { "ok" };
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
