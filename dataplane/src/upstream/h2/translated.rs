//! A backend of HTTP/2 as one of HTTP/1.1: what is written here is a request as it goes onto an HTTP/1.1 wire, what is
//! read is the answer as it would come from there. So all that is done to requests and answers is done in one way.
//!
//! It is good for one request. Where that is refused before anybody has looked at it, it is sent again, here; or else
//! whoever wrote it gets it back, and can send it elsewhere.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Response, StatusCode, uri::Scheme as UriScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Destination, Failed, Http2Pool, Http2Stream, Lease, Way,
    answer::{self, Frames},
    request::{self, Asked},
    upload::Upload,
};
use crate::{
    clock::{self, Nanos},
    http1::Framing,
    pool::Scheme,
    upstream::ConnectError,
};

/// How often a request that nobody has looked at is sent again.
const MAX_RESENDS: u32 = 3;
/// Most that is kept of a body, bytes. A backend that refuses a request does so before it has read much of it.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// Who gives up after waiting that long for an answer, has reason to doubt that the backend is alive.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// One request and its answer.
pub(crate) struct Translated {
    pool: Rc<Http2Pool>,
    to: Destination,
    stage: Stage,
    resends: u32,
    /// The head as it was written, for as long as it may have to be sent again.
    head: Vec<u8>,
    /// The body as it was written; `None`: it is too long, or there is an answer.
    kept: Option<Vec<u8>>,
    to_head: bool,
    upload: Upload,
    frames: Frames,
    /// What is to be read, of which so much was.
    out: Vec<u8>,
    read: usize,
    /// Since when nothing was heard.
    waits_since: Nanos,
}

enum Stage {
    /// The head of the request is not complete.
    Head(Lease),
    /// The head of the answer is awaited.
    Answer(Box<Http2Stream>),
    /// The request was refused; there will be another connection for it.
    Again(LocalBoxFuture<'static, Result<Way, ConnectError>>),
    /// The request was refused, and is not to be sent here again.
    Refused,
    /// The body of the answer comes.
    Body(Box<Http2Stream>),
    /// Nothing more comes.
    Over,
}

impl Translated {
    /// A request that takes this place.
    pub(crate) fn new(pool: Rc<Http2Pool>, to: Destination, lease: Lease) -> Self {
        Self {
            pool,
            to,
            stage: Stage::Head(lease),
            resends: 0,
            head: Vec::new(),
            kept: Some(Vec::new()),
            to_head: false,
            upload: Upload::default(),
            frames: Frames::Bare,
            out: Vec::new(),
            read: 0,
            waits_since: clock::now(),
        }
    }

    fn asked(&self) -> io::Result<Asked> {
        let scheme = if self.to.backend.scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP };
        request::read(&self.head, scheme).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Takes the head, or a part of it.
    fn write_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n").map(|at| at + 4) else { return Ok(bytes.len()) };
        self.head.truncate(end);
        self.start()?;
        Ok(end - before)
    }

    fn start(&mut self) -> io::Result<()> {
        let Stage::Head(lease) = std::mem::replace(&mut self.stage, Stage::Over) else { return Ok(()) };
        let asked = self.asked()?;
        if asked.expects {
            // Whoever asks in HTTP/2 is answered by hardly anybody.
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.send(lease, asked)
    }

    /// Sends the request from its beginning.
    fn send(&mut self, lease: Lease, asked: Asked) -> io::Result<()> {
        self.to_head = asked.is_head;
        self.waits_since = clock::now();
        self.upload = Upload::new(asked.framing);
        self.upload.take(self.kept.as_deref().unwrap_or_default())?;
        match Http2Stream::start(lease, asked.request, asked.framing == Framing::Length(0)) {
            Ok(stream) => self.stage = Stage::Answer(Box::new(stream)),
            Err(Failed::NotProcessed(error)) => self.go_again(error)?,
            Err(error) => return Err(broken(error)),
        }
        Ok(())
    }

    /// What was written of the body of a request that nobody has looked at, if that is known.
    pub(crate) fn take_back(&mut self) -> Option<Vec<u8>> {
        self.kept.take().filter(|_| matches!(self.stage, Stage::Refused))
    }

    /// Sends what was taken over. Ready when the backend's buffers have all of it.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Stage::Answer(stream) | Stage::Body(stream)) = &mut self.stage else {
            return if matches!(self.stage, Stage::Again(_)) { Poll::Pending } else { Poll::Ready(Ok(())) };
        };
        let upload = &mut self.upload;
        let sent = match stream.poll_send(cx, &mut upload.part) {
            Poll::Ready(Ok(())) if std::mem::take(&mut upload.ending) => {
                Poll::Ready(stream.end(upload.trailers.take()))
            }
            sent => sent,
        };
        match ready!(sent) {
            Ok(()) => Poll::Ready(Ok(())),
            // Whoever reads will find that out too, and see to it.
            Err(Failed::NotProcessed(_)) => Poll::Pending,
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }

    /// More of the answer, if there is more; nothing is put out at its end.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.is_empty() {
            if self.resends > 0 {
                // Whoever wrote may believe that all is sent: it was, the first time.
                let _ = self.poll_upload(cx);
            }
            match &mut self.stage {
                Stage::Head(_) | Stage::Over => return Poll::Ready(Ok(())),
                Stage::Refused => return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
                Stage::Again(way) => {
                    let way = ready!(way.as_mut().poll(cx));
                    self.send_again(way)?;
                }
                Stage::Answer(stream) => {
                    if let Poll::Ready(Some(interim)) = stream.poll_informational(cx) {
                        if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
                            // HTTP/2 has no such thing, and a tunnel would be none (RFC 9113 section 8.6).
                            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                        }
                        answer::write_interim(&mut self.out, &interim);
                        continue;
                    }
                    match ready!(stream.poll_head(cx)) {
                        Ok(head) => self.answered(&head),
                        Err(Failed::NotProcessed(error)) => self.go_again(error)?,
                        Err(error) => return Poll::Ready(Err(broken(error))),
                    }
                }
                Stage::Body(stream) => {
                    let frame = ready!(stream.poll_frame(cx)).transpose().map_err(broken)?;
                    self.put(frame);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn answered(&mut self, head: &Response<()>) {
        let Stage::Answer(stream) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        self.frames = answer::write_head(&mut self.out, head, self.to_head, stream.is_answered());
        // It will not be sent again.
        (self.head, self.kept) = (Vec::new(), None);
        self.stage = Stage::Body(stream);
    }

    fn put(&mut self, frame: Option<http_body::Frame<Bytes>>) {
        self.waits_since = clock::now();
        let trailers = match frame.map(http_body::Frame::into_data) {
            Some(Ok(data)) => return answer::write_part(&mut self.out, self.frames, &data),
            Some(Err(frame)) => frame.into_trailers().ok(),
            None => None,
        };
        answer::write_end(&mut self.out, self.frames, trailers.as_ref());
        self.stage = Stage::Over;
    }

    /// The backend has not looked at the request.
    fn go_again(&mut self, error: h2::Error) -> io::Result<()> {
        self.stage = Stage::Refused;
        self.resends += 1;
        if self.kept.is_none() || self.resends > MAX_RESENDS {
            return Err(io::Error::other(error));
        }
        let (pool, to) = (self.pool.clone(), self.to.clone());
        self.stage = Stage::Again(Box::pin(async move { pool.way(&to).await }));
        Ok(())
    }

    fn send_again(&mut self, way: Result<Way, ConnectError>) -> io::Result<()> {
        self.stage = Stage::Refused;
        match way.map_err(io::Error::other)? {
            Way::Http2(lease) => {
                let asked = self.asked()?;
                self.send(lease, asked)
            }
            Way::Http1(_) => Err(io::Error::other("the backend speaks HTTP/1.1 now")),
        }
    }

    /// Keeps what is written for as long as it may have to be sent again.
    fn keep(&mut self, bytes: &[u8]) {
        self.kept = self.kept.take().filter(|kept| kept.len() + bytes.len() <= MAX_KEPT_BYTES);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

fn broken(error: Failed) -> io::Error {
    io::Error::other(error)
}

impl AsyncWrite for Translated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match this.stage {
            Stage::Head(_) => return Poll::Ready(this.write_head(bytes)),
            Stage::Over | Stage::Refused => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {}
        }
        ready!(this.poll_upload(cx))?;
        this.keep(bytes);
        this.upload.take(bytes)?;
        // It is not asked whether that is all sent: who writes again, or flushes, will hear of it.
        if let Poll::Ready(Err(error)) = this.poll_upload(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_upload(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncRead for Translated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_answer(cx))?;
        let rest = &this.out[this.read..];
        let fits = &rest[..rest.len().min(buf.remaining())];
        buf.put_slice(fits);
        this.read += fits.len();
        if this.read == this.out.len() {
            (this.out, this.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Translated {
    fn drop(&mut self) {
        if let Stage::Answer(stream) | Stage::Body(stream) = &self.stage
            && u128::from(clock::now().since(self.waits_since)) >= DOUBT_AFTER.as_nanos()
        {
            stream.doubt();
        }
    }
}
