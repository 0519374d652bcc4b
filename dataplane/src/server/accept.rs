//! Accepting connections.

use std::{io, rc::Rc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedReceiver,
    time::sleep,
};

use super::{
    Worker,
    balance_threads::{Counted, Handed},
    connection,
};

/// Pause when the kernel has no socket to give (out of file descriptors or memory): neither spin nor give up.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves until shutdown; connections that the kernel has completed by then are served too.
pub(super) async fn accept(worker: &Rc<Worker>, listener: TcpListener, mut inbox: UnboundedReceiver<Handed>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => place(worker, stream),
                Err(error) => failed(&error).await,
            },
            Some(Handed(stream, counted)) = inbox.recv() => receive(worker, stream, counted),
            () = worker.shutdown.cancelled() => break,
        }
    }
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        serve(worker, stream, worker.threads.place(worker.index));
    }
    while let Ok(Handed(stream, counted)) = inbox.try_recv() {
        receive(worker, stream, counted);
    }
}

fn place(worker: &Rc<Worker>, stream: TcpStream) {
    let counted = worker.threads.place(worker.index);
    if counted.index() == worker.index {
        return serve(worker, stream, counted);
    }
    match stream.into_std() {
        Ok(stream) => worker.threads.hand_over(stream, counted),
        Err(error) => tracing::warn!(%error, "a connection could not be handed to another thread and was dropped"),
    }
}

fn receive(worker: &Rc<Worker>, stream: std::net::TcpStream, counted: Counted) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(worker, stream, counted),
        Err(error) => tracing::warn!(%error, "a connection from another thread could not be used and was dropped"),
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, counted: Counted) {
    worker.clone().spawn(connection::serve(worker.clone(), stream, counted));
}

async fn failed(error: &io::Error) {
    // The peer gave up before it was accepted; the next may be fine.
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections; trying again");
        sleep(EXHAUSTED_PAUSE).await;
    }
}
