//! One client connection, from accept to close.

use std::{pin::pin, rc::Rc, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    Verdict, Worker,
    balance_threads::Counted,
    guard::{Guard, SocketTimeouts},
};
use crate::proxy::Proxy;

/// hyper's read buffer at most; larger than the largest head that passes the guard.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Serves a connection until either side ends it; on shutdown the request in flight is the last.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, counted: Counted) {
    let _counted = counted;
    let Ok(peer) = stream.peer_addr() else { return };
    // A failure costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    worker.shared.metrics.connections.accepted();
    let verdict = Arc::new(Verdict::default());
    let guard = Guard::new(stream, verdict.clone(), &worker.timers, timeouts(&worker));
    let proxy = Rc::new(Proxy::new(worker.clone(), peer, verdict));
    let service = service_fn(|request| proxy.clone().handle(request));
    let connection = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        // A client that has said all it wants may close its side and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = worker.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended");
    }
    worker.shared.metrics.connections.closed();
}

fn timeouts(worker: &Worker) -> SocketTimeouts {
    let options = &worker.options;
    SocketTimeouts {
        head: options.header_timeout,
        keep_alive: options.keep_alive_timeout,
        idle: options.client_idle_timeout,
    }
}
