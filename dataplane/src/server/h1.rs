//! HTTP/1 on a client's connection.

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, sync::Arc};

use http::{Request, Response, StatusCode};
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
    let guard = Guard::new(opened.stream, verdict.clone(), &worker.timers, timeouts(&worker));
    let handler = Rc::new(Handler {
        proxy: Proxy::new(worker.clone(), opened.peer, opened.scheme),
        verdict,
        requests: Cell::new(0),
        answer_due: worker.timers.deadline(),
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        // A client that has said all it wants may close its side and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service_fn(|request| handler.clone().handle(request)))
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = worker.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
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
    answer_due: Arc<Deadline>,
}

impl Handler {
    async fn handle(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<ProxyBody>, Infallible> {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let fault = || self.verdict.fault(number);
        let response = self.proxy.answer(request, Turn { fault: &fault, answer_due: &self.answer_due }).await;
        self.verdict.answered(number, response.status() == StatusCode::SWITCHING_PROTOCOLS);
        Ok(response)
    }
}
