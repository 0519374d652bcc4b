//! An answer on its way from a backend to a client, while the rest of the request goes the other way.

use std::{
    io,
    task::{Context, Poll, ready},
};

use super::client::Client;
use crate::proxy::{BodyError, Exchange};

/// A part of a body that is so small is copied behind the head: one piece costs the kernel less than two.
const MAX_COPIED_BYTES: usize = 1024;

/// One answer.
pub(super) struct Relay<'a> {
    client: &'a mut Client,
    exchange: &'a mut Exchange,
    /// The head, and what was copied behind it.
    out: &'a mut Vec<u8>,
    written: usize,
    has_begun: bool,
    /// What is wrong with the beginning of the body: told when the head has left, so that the client sees a message
    /// that is broken, and not none.
    broken: Option<BodyError>,
}

impl<'a> Relay<'a> {
    /// An answer with this head.
    pub(super) fn new(client: &'a mut Client, exchange: &'a mut Exchange, out: &'a mut Vec<u8>) -> Self {
        Self { client, exchange, out, written: 0, has_begun: false, broken: None }
    }

    /// Carries what can be carried now, both ways. Ready when the answer is over, for good or ill.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let upload = self.exchange.poll_upload(cx, self.client);
        let answer = self.poll_answer(cx);
        match upload {
            // An answer that is here is passed on all the same.
            Err(gone) if answer.is_pending() => Poll::Ready(Err(gone.into())),
            _ => answer,
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        ready!(self.client.poll_write_told(cx))?;
        if !self.has_begun {
            self.begin(cx);
        }
        loop {
            ready!(self.poll_write(cx))?;
            if self.exchange.is_over() || self.broken.is_some() {
                ready!(self.client.poll_flush(cx))?;
                return Poll::Ready(self.broken.take().map_or(Ok(()), Err));
            }
            match self.exchange.poll_part(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending => {
                    // What was written must not wait for what was not.
                    ready!(self.client.poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// What is here of the body leaves with the head.
    fn begin(&mut self, cx: &mut Context<'_>) {
        self.has_begun = true;
        self.broken = self.exchange.decode().err();
        let length = self.exchange.ready().len();
        if length <= MAX_COPIED_BYTES {
            self.out.extend_from_slice(self.exchange.ready());
            self.exchange.advance(length);
        }
        if self.broken.is_none() {
            self.broken = self.exchange.poll_ahead(cx).err();
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() || !self.exchange.ready().is_empty() {
            let head = &self.out[self.written..];
            let length = match self.exchange.is_piped() {
                true => ready!(self.client.poll_write_ahead(cx, head, self.exchange.ready()))?,
                false => ready!(self.client.poll_write(cx, head, self.exchange.ready()))?,
            };
            let of_head = length.min(head.len());
            self.written += of_head;
            if length > of_head {
                self.exchange.advance(length - of_head);
            }
        }
        self.poll_empty(cx)
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchange.is_piped() {
            self.exchange.settle();
        }
        while let Some(pipe) = self.exchange.piped() {
            ready!(self.client.poll_empty(cx, pipe))?;
        }
        Poll::Ready(Ok(()))
    }
}
