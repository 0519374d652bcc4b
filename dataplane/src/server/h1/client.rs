//! A client's connection: reads requests and their bodies, strictly; writes what it is told.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::AsyncWrite;

use crate::{
    buffers::{BLOCK_BYTES, HEAD_READ_BYTES, Held},
    http1::{Body, Fault, Form, Head, Name},
    pipes::{self, Pipe, WORTH_BYTES},
    proxy::{Caller, CallerGone, LARGE_BYTES},
    server::{Deadline, Worker, stream::Stream},
    upstream::poll_write_both,
};

/// How an HTTP/2 connection begins (RFC 9113 section 3.4). No method of HTTP/1 is called so.
const PREFACE_START: &[u8] = b"PRI";

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One client's connection.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) stream: Stream,
    pub(super) held: Held,
    /// Bytes of the next head that were looked at.
    seen: usize,
    /// Of the request that is being answered.
    pub(super) body: Body,
    /// Of the body, behind what is ready.
    pub(super) piped: Option<Pipe>,
    about: About,
    /// The first bytes may be those of HTTP/2.
    may_be_http2: bool,
    /// What is said here is said through TLS.
    is_https: bool,
    pub(super) fault: Option<Fault>,
    /// The client has closed its side, or the connection is broken.
    pub(super) ended: bool,
    /// Interim answers, and how much of them is written.
    told: (Vec<u8>, usize),
    pub(super) reading: Arc<Deadline>,
    writing: Arc<Deadline>,
}

/// What is known of the client from the request that is being answered.
#[derive(Clone, Copy, Default)]
struct About {
    /// There has been one before.
    is_known: bool,
    is_http_10: bool,
    takes_trailers: bool,
    /// Its body is better not read, and that of the next request may be so too.
    is_large: bool,
    /// It waits for 100 before it sends the body.
    awaits_hundred: bool,
}

/// What comes next on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A request.
    Request,
    /// Something else.
    Refused(Fault),
    /// HTTP/2.
    Http2,
    /// Nothing.
    End,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, stream: Stream, may_be_http2: bool, is_https: bool) -> Self {
        let (reading, writing) = (worker.timers.deadline(), worker.timers.deadline());
        Self {
            worker,
            stream,
            held: Held::default(),
            seen: 0,
            body: Body::default(),
            piped: None,
            about: About::default(),
            may_be_http2,
            is_https,
            fault: None,
            ended: false,
            told: (Vec::new(), 0),
            reading,
            writing,
        }
    }

    /// Waits for the next request, whose head goes into `room`.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>, room: &mut Option<Box<Head>>) -> Poll<Next> {
        loop {
            if self.may_be_http2 && self.held.raw().starts_with(PREFACE_START) {
                return Poll::Ready(Next::Http2);
            }
            if !self.held.is_empty() {
                let head = room.get_or_insert_with(|| self.worker.take_head());
                match head.scan(self.held.raw(), &mut self.seen) {
                    Ok(Some(_)) if self.is_misdirected(head) => return Poll::Ready(self.refuse(Fault::Target)),
                    Ok(Some(length)) => {
                        self.held.consume(length);
                        self.begin(head);
                        return Poll::Ready(Next::Request);
                    }
                    Ok(None) => {}
                    Err(fault) => return Poll::Ready(self.refuse(fault)),
                }
            }
            if self.ended {
                return Poll::Ready(Next::End);
            }
            let has_begun = !self.held.is_empty();
            let most = if self.about.is_large && !has_begun { HEAD_READ_BYTES } else { BLOCK_BYTES };
            match self.held.poll_fill(cx, &mut self.stream, &self.worker.buffers, most) {
                Poll::Ready(Ok(1..)) if has_begun => {}
                // The time for a head begins with its first byte.
                Poll::Ready(Ok(1..)) => self.reading.clear(),
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => return self.poll_patience_for_head(cx),
            }
        }
    }

    fn poll_patience_for_head(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let has_begun = !self.held.is_empty();
        if !has_begun && self.worker.is_notice_over() {
            return Poll::Ready(Next::End);
        }
        if !self.reading.is_set() {
            let options = &self.worker.options;
            let is_idle = self.about.is_known && !has_begun;
            self.reading.set(if is_idle { options.keep_alive_timeout } else { options.header_timeout });
        }
        ready!(self.reading.poll_passed(cx));
        Poll::Ready(if has_begun { self.refuse(Fault::Slow) } else { Next::End })
    }

    /// A target that names a scheme names that of its connection (RFC 9110 section 7.4).
    fn is_misdirected(&self, head: &Head) -> bool {
        let facts = head.facts();
        facts.authority.is_some() && facts.is_https != self.is_https
    }

    fn refuse(&mut self, fault: Fault) -> Next {
        self.fault = Some(fault);
        self.reading.clear();
        Next::Refused(fault)
    }

    /// The head of a request is there.
    fn begin(&mut self, head: &mut Head) {
        self.reading.clear();
        (self.seen, self.may_be_http2) = (0, false);
        let facts = head.facts();
        self.body = Body::of_request(facts.framing, Form::Chunked);
        let fields = head.fields();
        self.body.announce_all(fields, facts.options);
        let mut te = fields.all(Name::Te).flat_map(|value| value.split(|byte| *byte == b','));
        self.about = About {
            is_known: true,
            is_http_10: facts.is_http_10,
            is_large: self.body.left().is_some_and(|left| left >= LARGE_BYTES) && self.stream.plain().is_some(),
            takes_trailers: te.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers")),
            awaits_hundred: facts.expects && !facts.is_http_10 && !self.body.is_over(),
        };
        if !self.body.is_over() {
            self.decode();
        }
        if self.held.ready().is_empty() {
            self.settle();
        }
    }

    /// Makes ready what is here of the body.
    pub(super) fn decode(&mut self) {
        if let Err(fault) = self.held.decode(&mut self.body) {
            self.fault = Some(fault);
        }
    }

    pub(super) fn is_http_11(&self) -> bool {
        !self.about.is_http_10
    }

    /// Whether another request may follow this one: nothing is wrong with it, and it is clear where it ends.
    pub(super) fn may_go_on(&self) -> bool {
        // Who was not told 100 may send the body, or the next request.
        self.fault.is_none() && !self.ended_early() && !(self.about.awaits_hundred && self.has_sent_no_body())
    }

    fn ended_early(&self) -> bool {
        self.ended && !self.body.is_over()
    }

    fn has_sent_no_body(&self) -> bool {
        !self.body.is_over() && self.body.data_bytes() == 0
    }

    /// Writes what can be written of two parts, one after the other.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let written = poll_write_both(&mut self.stream, cx, first, second);
        self.poll_patience_for_writing(cx, written)
    }

    /// The same, where bytes in a pipe follow at once.
    pub(super) fn poll_write_ahead(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.stream.plain() else { return self.poll_write(cx, first, second) };
        let written = pipes::poll_write_ahead(cx, socket, first, second);
        self.poll_patience_for_writing(cx, written)
    }

    /// Writes what can be written of a pipe. Only for who [takes](Caller::takes_pipe) it.
    pub(super) fn poll_empty(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let Some(socket) = self.stream.plain() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        let written = pipe.poll_empty(cx, socket);
        self.poll_patience_for_writing(cx, written)
    }

    /// Sends what was written and is still here.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_patience_for_writing(cx, flushed)
    }

    /// Bounds the time a client may take to read what is written to it.
    pub(super) fn poll_patience_for_writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.writing.is_set() {
                self.writing.clear();
            }
            return written;
        }
        if !self.writing.is_set() {
            self.writing.set(self.worker.options.client_idle_timeout);
        }
        ready!(self.writing.poll_passed(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes all of it, behind what was told before.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        poll_fn(|cx| {
            ready!(self.poll_write_told(cx))?;
            while written < bytes.len() {
                written += ready!(self.poll_write(cx, &bytes[written..], &[]))?;
            }
            self.poll_flush(cx)
        })
        .await
    }

    /// Writes the interim answers that are left.
    pub(super) fn poll_write_told(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.told.0.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let (told, mut written) = std::mem::take(&mut self.told);
        while written < told.len() {
            match self.poll_write(cx, &told[written..], &[]) {
                Poll::Ready(Ok(length)) => written += length,
                other => {
                    self.told = (told, written);
                    return other.map_ok(|_| ());
                }
            }
        }
        self.poll_flush(cx)
    }

    /// Reads more of the body, within the time that is allowed between two parts.
    fn poll_body(&mut self, cx: &mut Context<'_>, to_socket: bool) -> Poll<Result<(), CallerGone>> {
        loop {
            if self.fault.is_some() || self.ended_early() {
                return Poll::Ready(Err(CallerGone));
            }
            if !self.held.ready().is_empty() || self.piped.is_some() || self.body.is_over() {
                return Poll::Ready(Ok(()));
            }
            match self.poll_part(cx, to_socket) {
                Poll::Ready(Ok(1..)) => {
                    self.reading.clear();
                    self.about.awaits_hundred = false;
                    self.decode();
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    ready!(self.poll_patience(cx, self.worker.options.client_idle_timeout));
                    self.fault = Some(Fault::Slow);
                }
            }
        }
    }

    /// More of the body, read or in a pipe; 0: the client has closed its side.
    fn poll_part(&mut self, cx: &mut Context<'_>, to_socket: bool) -> Poll<io::Result<usize>> {
        let worth = self.body.left().filter(|left| to_socket && *left >= WORTH_BYTES);
        if let (Some(left), Some(socket)) = (worth, self.stream.plain()) {
            self.held.settle(&self.worker.buffers);
            if let Some(pipe) = ready!(self.worker.pipes.poll_fill(cx, socket, left))? {
                let length = pipe.len();
                self.body.pass(length as u64);
                self.piped = (length > 0).then_some(pipe);
                return Poll::Ready(Ok(length));
            }
        }
        self.held.poll_fill(cx, &mut self.stream, &self.worker.buffers, BLOCK_BYTES)
    }

    pub(super) fn poll_patience(&self, cx: &mut Context<'_>, patience: Duration) -> Poll<()> {
        if !self.reading.is_set() {
            self.reading.set(patience);
        }
        self.reading.poll_passed(cx)
    }

    /// The stream, with what was read of it put back.
    pub(super) fn into_http2(mut self) -> Stream {
        self.stream.unread(self.held.into_rest());
        self.stream
    }

    /// The stream, and what was read and not used.
    pub(super) fn into_tunnel(self) -> (Stream, Vec<u8>) {
        (self.stream, self.held.into_rest())
    }
}

impl Caller for Client {
    fn ready(&self) -> &[u8] {
        self.held.ready()
    }

    fn advance(&mut self, sent: usize) {
        self.held.advance(sent);
        if self.is_over() {
            self.settle();
        }
    }

    fn is_over(&self) -> bool {
        self.body.is_over() && self.held.ready().is_empty() && self.piped.is_none()
    }

    fn settle(&mut self) {
        self.held.settle(&self.worker.buffers);
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, to_socket: bool) -> Poll<Result<(), CallerGone>> {
        self.poll_body(cx, to_socket)
    }

    fn piped(&mut self) -> Option<&mut Pipe> {
        self.piped.take_if(|pipe| pipe.is_empty());
        self.piped.as_mut()
    }

    fn takes_pipe(&self) -> bool {
        self.stream.plain().is_some()
    }

    fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn ask(&mut self) {
        if std::mem::take(&mut self.about.awaits_hundred) && self.has_sent_no_body() {
            self.told.0.extend_from_slice(CONTINUE);
        }
    }

    fn hears_interim(&self) -> bool {
        self.is_http_11()
    }

    fn tell(&mut self, interim: &[u8]) {
        self.told.0.extend_from_slice(interim);
    }

    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallerGone>> {
        self.poll_write_told(cx).map_err(|_| CallerGone)
    }

    fn form(&self) -> Form {
        if self.about.is_http_10 { Form::Data } else { Form::Chunked }
    }

    fn part_bytes(&self) -> usize {
        BLOCK_BYTES
    }

    fn takes_trailers(&self) -> bool {
        self.about.takes_trailers && self.is_http_11()
    }
}
