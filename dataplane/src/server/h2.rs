//! HTTP/2 on a client's connection (RFC 9113): by prior knowledge, or as agreed in TLS.

mod answer_body;
mod caller;
mod lines;
mod tasks;
mod websocket;

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http2 as hyper_http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{Deadline, Worker, connection::Opened};
use crate::{
    http2,
    proxy::{Answer, AnswerBody, Proxy},
};
use answer_body::HttpBody;
use caller::Http2Caller;
use tasks::StreamTasks;
use websocket::WebSocket;

/// Requests of one connection served at once.
const MAX_CONCURRENT_STREAMS: u32 = 128;
/// Header list as RFC 9113 section 6.5.2 counts it; the bound for HTTP/1 heads.
const MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;
/// What one stream, and all of a connection, may send ahead of what is forwarded.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// What one stream may be written ahead of what the client takes.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// A client that does not answer a PING within the second time is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn serve(worker: Rc<Worker>, opened: Opened) -> hyper::Result<()> {
    let idle = worker.timers.deadline();
    idle.set(worker.options.header_timeout);
    let proxy = Proxy::new(worker.clone(), opened.peer, opened.scheme, opened.stream.is_refused());
    let (begun, active) = (Cell::new(false), Cell::new(0));
    let handler = Rc::new(Handler { worker: worker.clone(), proxy, idle: idle.clone(), begun, active });
    let tasks = StreamTasks::default();
    let service = service_fn(|request| {
        let taken_by = worker.timers.deadline();
        tasks.bound_next(taken_by.clone());
        handler.clone().handle(request, taken_by)
    });
    let connection = builder(tasks.clone()).serve_connection(TokioIo::new(opened.stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        () = worker.shutdown.cancelled() => {}
        () = idle.passed() => {}
    }
    if !handler.begun.get() {
        // Not one request within the time for a head.
        return Ok(());
    }
    connection.as_mut().graceful_shutdown();
    idle.set(worker.options.client_idle_timeout);
    tokio::select! {
        biased;
        result = connection.as_mut() => result,
        // Without a request in flight it only waits for a client that does not close.
        () = handler.is_idle_and_late() => Ok(()),
    }
}

fn builder(tasks: StreamTasks) -> hyper_http2::Builder<StreamTasks> {
    let mut builder = hyper_http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Takes the requests of one connection, many at a time.
struct Handler {
    worker: Rc<Worker>,
    proxy: Proxy,
    /// Set while no request is being answered.
    idle: Arc<Deadline>,
    /// There has been a request.
    begun: Cell<bool>,
    active: Cell<usize>,
}

impl Handler {
    /// Answers a request. The client must take each part of the answer by `taken_by`, which is set with each.
    async fn handle(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        taken_by: Arc<Deadline>,
    ) -> Result<Response<HttpBody>, Infallible> {
        let active = Active::begin(self.clone());
        let websocket = WebSocket::asked_for(&mut request, &self.worker);
        let key = websocket.as_ref().map(WebSocket::key);
        let (parts, incoming) = request.into_parts();
        let mut caller = Http2Caller::new(&parts, incoming, key, &self.worker);
        let mut head = self.worker.take_head();
        let has_body = !caller.is_empty();
        let (answer, completion) =
            match head.write(|out| http2::write_head(&parts, has_body, key.as_ref().map(|key| key.as_str()), out)) {
                Ok(()) => self.proxy.answer(&head, &mut caller, &self.worker.timers.deadline()).await,
                Err(fault) => self.proxy.refuse(fault, None),
            };
        let is_head = parts.method == http::Method::HEAD;
        self.worker.give_back_head(head);
        let answer = self.open(websocket, answer);
        let (response, out) =
            to_response(answer, |body| HttpBody::new(body, is_head, caller, completion, (active, taken_by)));
        self.worker.buffers.give_back(out);
        Ok(response)
    }

    /// What the client is told, if a backend has opened the WebSocket that was asked for.
    fn open(self: &Rc<Self>, websocket: Option<WebSocket>, answer: Answer) -> Answer {
        match (websocket, answer) {
            (Some(websocket), Answer { body: AnswerBody::Tunnel(exchange), head, .. }) => {
                websocket.open(self.worker.clone(), exchange, Active::begin(self.clone()));
                websocket::opened(head)
            }
            (_, answer) => answer,
        }
    }

    async fn is_idle_and_late(&self) {
        loop {
            self.idle.passed().await;
            if self.active.get() == 0 {
                return;
            }
            self.idle.set(self.worker.options.client_idle_timeout);
        }
    }
}

/// An answer of HTTP/1.1 as one of HTTP/2, and the memory of its head.
fn to_response(
    answer: Answer,
    body: impl FnOnce(crate::proxy::AnswerBody) -> HttpBody,
) -> (Response<HttpBody>, Vec<u8>) {
    let mut response = Response::new(body(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    lines::append(response.headers_mut(), &answer.head);
    (response, answer.head)
}

/// Counts a request until its answer is over.
struct Active(Rc<Handler>);

impl Active {
    fn begin(handler: Rc<Handler>) -> Self {
        handler.begun.set(true);
        handler.active.set(handler.active.get() + 1);
        handler.idle.clear();
        Self(handler)
    }

    /// How long the client may take for a part of the answer.
    fn patience(&self) -> Duration {
        self.0.worker.options.client_idle_timeout
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let left = self.0.active.get() - 1;
        self.0.active.set(left);
        if left == 0 {
            self.0.idle.set(self.0.worker.options.keep_alive_timeout);
        }
    }
}
