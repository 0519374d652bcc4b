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
    balance_threads::{Handed, Place},
    complaints::Complaints,
    connection,
};
use crate::clock;

/// Pause when the kernel has no socket to give (out of file descriptors or memory): neither spin nor give up.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves until shutdown; connections that the kernel has completed by then are served too.
pub(super) async fn accept(worker: &Rc<Worker>, listener: TcpListener, mut inbox: UnboundedReceiver<Handed>) {
    let complaints = Complaints::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => place(worker, stream),
                Err(error) => failed(&error, &complaints).await,
            },
            Some(Handed(stream, place)) = inbox.recv() => receive(worker, stream, place),
            () = worker.shutdown.cancelled() => break,
        }
    }
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        serve(worker, stream, take_place(worker));
    }
    while let Ok(Handed(stream, place)) = inbox.try_recv() {
        receive(worker, stream, place);
    }
}

fn place(worker: &Rc<Worker>, stream: TcpStream) {
    let place = take_place(worker);
    if place.counted.index() == worker.index {
        return serve(worker, stream, place);
    }
    match stream.into_std() {
        Ok(stream) => worker.threads.hand_over(stream, place),
        Err(error) => tracing::warn!(%error, "a connection could not be handed to another thread and was dropped"),
    }
}

fn take_place(worker: &Worker) -> Place {
    Place { counted: worker.threads.place(worker.index), seat: worker.admission.take_seat() }
}

fn receive(worker: &Rc<Worker>, stream: std::net::TcpStream, place: Place) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(worker, stream, place),
        Err(error) => tracing::warn!(%error, "a connection from another thread could not be used and was dropped"),
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, place: Place) {
    worker.clone().spawn(connection::serve(worker.clone(), stream, place));
}

async fn failed(error: &io::Error, complaints: &Complaints) {
    // The peer gave up before it was accepted; the next may be fine.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    if complaints.is_due(clock::now()) {
        tracing::warn!(%error, "cannot accept connections; trying again");
    }
    sleep(EXHAUSTED_PAUSE).await;
}
