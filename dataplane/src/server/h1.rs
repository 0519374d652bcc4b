//! HTTP/1 on a client's connection.

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use super::{
    Deadline, Worker,
    connection::Opened,
    guard::{Guard, SocketTimeouts, Verdict},
};
use crate::proxy::{Proxy, ProxyBody, Turn};

/// hyper's read buffer at most; larger than the largest head that passes the guard.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

pub(super) async fn serve(worker: Rc<Worker>, opened: Opened) -> hyper::Result<()> {
    let verdict = Arc::new(Verdict::default());
    let handler = Rc::new(Handler {
        worker: worker.clone(),
        proxy: Proxy::new(worker.clone(), opened.peer, opened.scheme, opened.stream.is_refused()),
        verdict,
        requests: Cell::new(0),
        answer_due: worker.timers.deadline(),
    });
    let guard = Guard::new(opened.stream, handler.verdict.clone(), &worker.timers, timeouts(&worker));
    let connection = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        // A client that has said all it wants may close its side and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service_fn(|request| handler.clone().handle(request)))
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        () = worker.notice_over() => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

fn timeouts(worker: &Worker) -> SocketTimeouts {
    let options = &worker.options;
    SocketTimeouts {
        head: options.header_timeout,
        keep_alive: options.keep_alive_timeout,
        idle: options.client_idle_timeout,
    }
}

/// Takes the requests of one connection, one at a time.
struct Handler {
    proxy: Proxy,
    /// What the guard in front of hyper found wrong.
    verdict: Arc<Verdict>,
    /// Requests so far.
    requests: Cell<u64>,
    worker: Rc<Worker>,
    answer_due: Arc<Deadline>,
}

impl Handler {
    async fn handle(self: Rc<Self>, mut request: Request<Incoming>) -> Result<Response<ProxyBody>, Infallible> {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        if self.verdict.is_about_server(number) {
            ask_about_server(&mut request);
        }
        let fault = || self.verdict.fault(number);
        let mut response = self.proxy.answer(request, Turn { fault: &fault, answer_due: &self.answer_due }).await;
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        self.verdict.answered(number, upgraded);
        if !upgraded && (self.worker.shutdown.is_cancelled() || self.proxy.refuses()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Turns `OPTIONS http://host` into `OPTIONS *` (RFC 9112 section 3.2.4). For hyper it is `OPTIONS http://host/`.
fn ask_about_server<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = Uri::from_static("*");
    }
}
