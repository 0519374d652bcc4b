//! HTTP/1 on a client's connection: one task, which reads a request, has it answered, and writes the answer.

mod client;
mod farewell;
mod relay;

use std::{future::poll_fn, io, rc::Rc, sync::Arc};

use super::{
    Deadline, Worker,
    connection::{Opened, Protocol},
    stream::Stream,
};
use crate::{
    http1::{Fault, Form, Head, put_field},
    proxy::{Answer, AnswerBody, Answered, BodyError, Exchange, Proxy, tunnel},
};
use client::{Client, Next};

/// Serves the requests of a connection until one of them is its last. The connection comes back if it is one of HTTP/2.
pub(super) async fn serve(worker: Rc<Worker>, opened: Opened) -> io::Result<Option<Opened>> {
    let Opened { stream, peer, scheme, protocol } = opened;
    let proxy = Proxy::new(worker.clone(), peer, scheme, stream.is_refused());
    let answer_due = worker.timers.deadline();
    let client = Client::new(worker.clone(), stream, protocol == Protocol::Either, scheme == "https");
    let http2 = Connection { worker, proxy, client, answer_due }.serve().await?;
    Ok(http2.map(|stream| Opened { stream, peer, scheme, protocol: Protocol::Http2 }))
}

struct Connection {
    worker: Rc<Worker>,
    proxy: Proxy,
    client: Client,
    /// By when a backend must have answered, or gone on.
    answer_due: Arc<Deadline>,
}

/// What follows an answer.
enum After {
    /// The next request.
    Next,
    /// Nothing.
    Close,
    /// Nothing, and not in order: what was sent is not all there was.
    Cut,
    /// Another protocol.
    Tunnel(Box<Exchange>),
}

/// What the answer to a request goes by.
struct Turn<'a> {
    /// `None`: what came is not a request.
    head: Option<&'a Head>,
    /// The connection may stay open, as far as the request says.
    persists: bool,
}

impl Turn<'_> {
    fn is_head(&self) -> bool {
        self.head.is_some_and(|head| head.method() == b"HEAD")
    }

    fn is_http_10(&self) -> bool {
        self.head.is_some_and(|head| head.facts().is_http_10)
    }
}

impl Connection {
    async fn serve(mut self) -> io::Result<Option<Stream>> {
        loop {
            let mut room = None;
            let next = poll_fn(|cx| self.client.poll_next(cx, &mut room)).await;
            let after = match (&next, &room) {
                (Next::Request, Some(head)) => self.answer(head).await?,
                (Next::Refused(fault), _) => self.refuse(*fault).await?,
                (Next::Http2, _) => return Ok(Some(self.client.into_http2())),
                _ => break,
            };
            if let Some(head) = room {
                self.worker.give_back_head(head);
            }
            match after {
                After::Next => {}
                After::Close => break,
                After::Cut => return Ok(None),
                After::Tunnel(exchange) => {
                    self.tunnel(exchange).await;
                    return Ok(None);
                }
            }
        }
        self.client.close().await?;
        Ok(None)
    }

    async fn answer(&mut self, head: &Head) -> io::Result<After> {
        let facts = head.facts();
        if let Some(fault) = self.client.fault {
            // The beginning of the body came with the head.
            let answered = self.proxy.refuse(fault, Some(head));
            return self.reply(answered, Turn { head: Some(head), persists: false }).await;
        }
        let turn = Turn { head: Some(head), persists: facts.options.persists(facts.is_http_10) };
        let answered = self.proxy.answer(head, &mut self.client, &self.answer_due).await;
        self.reply(answered, turn).await
    }

    async fn refuse(&mut self, fault: Fault) -> io::Result<After> {
        let answered = self.proxy.refuse(fault, None);
        if fault == Fault::Protocol {
            return Ok(After::Cut);
        }
        self.reply(answered, Turn { head: None, persists: false }).await
    }

    /// Writes an answer, and settles what is left of its request.
    async fn reply(&mut self, (answer, mut completion): Answered, turn: Turn<'_>) -> io::Result<After> {
        let Answer { status, head: mut out, has_date, body } = answer;
        let mut keeps = turn.persists && !self.is_ending() && self.client.may_go_on();
        if !has_date && status >= 200 {
            put_field(&mut out, "Date", self.worker.date().as_bytes());
        }
        let after = match body {
            AnswerBody::Own(text) => {
                keeps = keeps && self.client.can_be_drained();
                end_head(&mut out, keeps, turn.is_http_10());
                if !turn.is_head() {
                    out.extend_from_slice(text.as_bytes());
                    completion.sent(text.len() as u64);
                }
                if !keeps {
                    self.client.stream.await_goodbye();
                }
                self.client.write_all(&out).await?;
                After::Close
            }
            AnswerBody::Tunnel(exchange) => {
                out.extend_from_slice(b"\r\n");
                self.client.write_all(&out).await?;
                return Ok(After::Tunnel(exchange));
            }
            AnswerBody::Backend(mut exchange) => {
                let has_length = exchange.body().left().is_some();
                keeps = keeps && (has_length || self.client.is_http_11());
                if !has_length && exchange.body().form() == Form::Chunked {
                    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                }
                end_head(&mut out, keeps, turn.is_http_10());
                if !keeps && exchange.is_all_here() {
                    self.client.stream.await_goodbye();
                }
                let relayed = poll_relay(&mut self.client, &mut exchange, &mut out).await;
                completion.sent(exchange.body().data_bytes());
                match relayed {
                    Ok(()) => {
                        exchange.finish();
                        After::Close
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an answer breaks off");
                        if !has_length && exchange.body().form() == Form::Data {
                            // Such a body ends with the connection: only a reset says that it was not all.
                            self.client.stream.reset_when_closed();
                        }
                        After::Cut
                    }
                }
            }
        };
        drop(completion);
        self.worker.buffers.give_back(out);
        Ok(match after {
            After::Close if keeps && self.client.drain().await => After::Next,
            after => after,
        })
    }

    /// Whether no request after this one is served.
    fn is_ending(&self) -> bool {
        self.proxy.refuses() || self.worker.shutdown.is_cancelled()
    }

    async fn tunnel(self, exchange: Box<Exchange>) {
        let (stream, early) = self.client.into_tunnel();
        tunnel::run(&self.worker, stream, early, exchange).await;
    }
}

async fn poll_relay(client: &mut Client, exchange: &mut Exchange, out: &mut Vec<u8>) -> Result<(), BodyError> {
    let mut relay = relay::Relay::new(client, exchange, out);
    poll_fn(|cx| relay.poll(cx)).await
}

/// Appends what the connection's future makes necessary, and the empty line.
fn end_head(out: &mut Vec<u8>, keeps: bool, is_http_10: bool) {
    out.extend_from_slice(match (keeps, is_http_10) {
        (true, false) => b"\r\n".as_slice(),
        (true, true) => b"Connection: keep-alive\r\n\r\n",
        (false, _) => b"Connection: close\r\n\r\n",
    });
}
