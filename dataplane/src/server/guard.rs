//! A client's socket, with the strict scanner between it and hyper.
//!
//! What hyper reads has passed [`crate::http1`]. Where that finds a fault, hyper reads a substitute request instead,
//! and [`Verdict`] tells the service to answer it with the fault's status: so refusals are ordinary answers, in order
//! behind the ones still due, and hyper never has to judge a request itself.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{
    stream::Stream,
    timers::{Deadline, Timers},
};
use crate::http1::{AboutServer, Fault, Scanner};

/// What hyper reads in place of a request that is refused.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";
/// Room made for a head that did not come at once.
const CHUNK_BYTES: usize = 4096;
/// After an early answer: how much of what the client still sends is thrown away, so that it gets to read the answer
/// instead of a reset, and how long that may take.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Time-outs of a client's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketTimeouts {
    /// For a head, from its first byte (the connection's first: from its start).
    pub(super) head: Duration,
    /// Between requests.
    pub(super) keep_alive: Duration,
    /// Between two reads of a body, and for a client to take what is written.
    pub(super) idle: Duration,
}

/// What the guard tells the service, and is told. Requests of a connection are numbered from 1.
#[derive(Default)]
pub(crate) struct Verdict {
    fault: AtomicU8,
    /// The request that the fault is in.
    faulty: AtomicU64,
    /// The request whose upgrade was granted.
    upgraded: AtomicU64,
    /// The last request that was answered.
    answered: AtomicU64,
    /// The requests about the server itself.
    about_server: AtomicU64,
}

impl Verdict {
    /// What is wrong with a request.
    pub(crate) fn fault(&self, request: u64) -> Option<Fault> {
        let fault = Fault::from_number(self.fault.load(Relaxed))?;
        (self.faulty.load(Relaxed) == request).then_some(fault)
    }

    /// Whether a request is about the server itself, though hyper takes it for one about `/`.
    pub(crate) fn is_about_server(&self, request: u64) -> bool {
        AboutServer(self.about_server.load(Relaxed)).contains(request)
    }

    /// A request is answered, and what follows it is another protocol or not.
    pub(crate) fn answered(&self, request: u64, upgraded: bool) {
        if upgraded {
            self.upgraded.store(request, Relaxed);
        }
        self.answered.store(request, Relaxed);
    }

    fn refuse(&self, fault: Fault, request: u64) {
        self.faulty.store(request, Relaxed);
        self.fault.store(fault as u8, Relaxed);
    }

    /// Whether a request's upgrade was granted; `None`: it is not answered yet.
    fn upgraded(&self, request: u64) -> Option<bool> {
        (self.answered.load(Relaxed) >= request).then(|| self.upgraded.load(Relaxed) == request)
    }
}

/// The socket. Reads what has been checked; writes as it is told.
pub(super) struct Guard {
    stream: Stream,
    scanner: Scanner,
    verdict: Arc<Verdict>,
    timeouts: SocketTimeouts,
    reading: Arc<Deadline>,
    writing: Arc<Deadline>,
    /// Bytes that did not pass yet, but for the first `approved`.
    held: BytesMut,
    approved: usize,
    ending: Ending,
    /// Bytes thrown away since the connection began to close.
    lingered: Option<usize>,
}

/// How the input of a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Not yet.
    Open,
    /// The client closed its side.
    Closed,
    /// A request was refused: nothing that follows is read.
    Refused,
}

impl Guard {
    pub(super) fn new(stream: Stream, verdict: Arc<Verdict>, timers: &Arc<Timers>, timeouts: SocketTimeouts) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            verdict,
            timeouts,
            reading: timers.deadline(),
            writing: timers.deadline(),
            held: BytesMut::new(),
            approved: 0,
            ending: Ending::Open,
            lingered: None,
        }
    }

    /// Gives out what was approved earlier; true if there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let length = self.approved.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.approved -= length;
        if self.held.is_empty() {
            // An idle connection keeps no buffer.
            self.held = BytesMut::new();
        }
        length > 0
    }

    /// Scans what is held.
    fn approve(&mut self) {
        let scan = self.scanner.scan(&self.held);
        self.note_heads();
        self.approved = scan.passed;
        if let Some(fault) = scan.fault {
            self.refuse(fault);
        }
    }

    fn note_heads(&self) {
        self.verdict.about_server.store(self.scanner.about_server().0, Relaxed);
    }

    /// Nothing more is read. A fault in a head is answered in place of its request; one in a body cuts the body.
    fn refuse(&mut self, fault: Fault) {
        self.ending = Ending::Refused;
        self.held.truncate(self.approved);
        let in_head = self.scanner.is_in_head();
        self.verdict.refuse(fault, self.scanner.heads() + u64::from(in_head));
        if in_head {
            self.held.extend_from_slice(SUBSTITUTE);
            self.approved = self.held.len();
        }
    }

    /// Reads straight into hyper's buffer, and takes back what may not pass yet.
    fn read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[start..];
        if fresh.is_empty() {
            self.ending = Ending::Closed;
            return Poll::Ready(Ok(()));
        }
        let scan = self.scanner.scan(fresh);
        self.note_heads();
        if scan.passed < fresh.len() {
            self.held.extend_from_slice(&fresh[scan.passed..]);
            buf.set_filled(start + scan.passed);
            // The time for a head begins with its first byte.
            self.reading.clear();
        }
        if let Some(fault) = scan.fault {
            self.refuse(fault);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more of what is held.
    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.reserve(CHUNK_BYTES);
        if ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.held))? == 0 {
            self.ending = Ending::Closed;
        }
        self.approve();
        Poll::Ready(Ok(()))
    }

    /// Waits for the client, but not for ever.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.reading.is_set() {
            match self.patience() {
                Some(patience) => self.reading.set(patience),
                None => return Poll::Pending,
            }
        }
        ready!(self.reading.poll_passed(cx));
        if self.has_nothing_begun() {
            self.ending = Ending::Closed;
        } else {
            self.refuse(Fault::Slow);
        }
        Poll::Ready(())
    }

    fn patience(&self) -> Option<Duration> {
        if self.scanner.is_opaque() {
            return None;
        }
        Some(match self.scanner.is_in_head() {
            true if self.has_nothing_begun() && self.scanner.heads() > 0 => self.timeouts.keep_alive,
            true => self.timeouts.head,
            false => self.timeouts.idle,
        })
    }

    /// Whether not one byte of the next request is here.
    fn has_nothing_begun(&self) -> bool {
        self.scanner.is_in_head() && self.held.is_empty()
    }

    fn resolve_upgrade(&mut self) {
        if self.scanner.awaits_upgrade()
            && let Some(upgraded) = self.verdict.upgraded(self.scanner.heads())
        {
            self.scanner.resolve_upgrade(upgraded);
            self.approve();
        }
    }

    /// Whether the client may still be sending what nobody will read.
    fn leaves_input_unread(&self) -> bool {
        match self.ending {
            Ending::Open => !(self.has_nothing_begun() || self.scanner.is_opaque()),
            Ending::Closed => false,
            Ending::Refused => true,
        }
    }

    /// Throws away what the client still sends, within bounds.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; CHUNK_BYTES];
        if self.lingered.is_none() {
            self.reading.set(LINGER);
        }
        let lingered = self.lingered.get_or_insert(0);
        while *lingered < LINGER_BYTES && self.reading.poll_passed(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *lingered += buf.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// Bounds the time a client may take to read what is written to it.
    fn poll_written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.writing.is_set() {
                self.writing.clear();
            }
            return written;
        }
        if !self.writing.is_set() {
            self.writing.set(self.timeouts.idle);
        }
        ready!(self.writing.poll_passed(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        this.resolve_upgrade();
        loop {
            if this.give(buf) || buf.filled().len() > start || this.ending != Ending::Open {
                this.reading.clear();
                return Poll::Ready(Ok(()));
            }
            if this.scanner.awaits_upgrade() {
                // The service answers before hyper reads on: there is nothing to be woken for.
                return Poll::Pending;
            }
            let read = if this.held.is_empty() { this.read_through(cx, buf) } else { this.read_more(cx) };
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.wait(cx)),
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.poll_written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if this.leaves_input_unread() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
