//! Accepting connections.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

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
                Ok((stream, peer)) => place(worker, stream, peer),
                Err(error) => failed(&error, &complaints).await,
            },
            Some(handed) = inbox.recv() => receive(worker, handed),
            () = worker.shutdown.cancelled() => break,
        }
    }
    serve_waiting(worker, listener);
    // From now on other threads keep what they would have handed over; what they have handed over is here.
    inbox.close();
    while let Some(handed) = inbox.recv().await {
        receive(worker, handed);
    }
}

/// Serves the connections that wait in the kernel. Asks it directly: the runtime may not have heard of them yet.
fn serve_waiting(worker: &Rc<Worker>, listener: TcpListener) {
    let waiting = listener.into_std().and_then(|listener| {
        while let Some((stream, peer)) = next_waiting(&listener)? {
            stream.set_nonblocking(true)?;
            receive(worker, Handed { stream, peer, place: take_place(worker) });
        }
        Ok(())
    });
    if let Err(error) = waiting {
        tracing::warn!(%error, "connections that waited at shutdown were not accepted");
    }
}

fn next_waiting(listener: &std::net::TcpListener) -> io::Result<Option<(std::net::TcpStream, SocketAddr)>> {
    match listener.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        accepted => accepted.map(Some),
    }
}

fn place(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let place = take_place(worker);
    if place.counted.index() == worker.index {
        return serve(worker, stream, peer, place);
    }
    match stream.into_std() {
        Ok(stream) => {
            if let Err(handed) = worker.threads.hand_over(Handed { stream, peer, place }) {
                receive(worker, *handed);
            }
        }
        Err(error) => tracing::warn!(%error, "a connection could not be handed to another thread and was dropped"),
    }
}

fn take_place(worker: &Worker) -> Place {
    Place { counted: worker.threads.place(worker.index), seat: worker.admission.take_seat() }
}

fn receive(worker: &Rc<Worker>, Handed { stream, peer, place }: Handed) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(worker, stream, peer, place),
        Err(error) => tracing::warn!(%error, "a connection from another thread could not be used and was dropped"),
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, place: Place) {
    worker.clone().spawn(connection::serve(worker.clone(), stream, peer, place));
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
