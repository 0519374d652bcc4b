//! One client connection, from accept to close.

use std::{pin::pin, rc::Rc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{Worker, balance_threads::Counted};
use crate::proxy::Proxy;

/// Largest request head in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Serves a connection until either side ends it; on shutdown the request in flight is the last.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, counted: Counted) {
    let _counted = counted;
    let Ok(peer) = stream.peer_addr() else { return };
    // A failure costs latency, not correctness.
    let _ = stream.set_nodelay(true);
    worker.shared.metrics.connections.accepted();
    let proxy = Rc::new(Proxy::new(worker.clone(), peer));
    let service = service_fn(|request| proxy.clone().handle(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(worker.options.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        // A client that has said all it wants may close its side and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
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
