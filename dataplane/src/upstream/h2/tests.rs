//! Against real HTTP/2 servers on real sockets.

mod connections;
mod garbage;
mod streams;
mod tls;
mod translated;
mod whims;

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, Request, Response};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{LocalSet, spawn_local},
    time::timeout,
};

use super::*;
use crate::pool::Health;

const PATIENCE: Duration = Duration::from_secs(20);

type Connected = server::Connection<TcpStream, Bytes>;

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A server that does by hand what a test says.
struct Server {
    address: SocketAddr,
    connections: mpsc::UnboundedReceiver<Connected>,
}

impl Server {
    async fn start(builder: server::Builder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (accepted, connections)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(connection) = builder.handshake(stream).await else { continue };
                if accepted.send(connection).is_err() {
                    return;
                }
            }
        });
        Self { address, connections }
    }

    async fn accept(&mut self) -> Connected {
        within(self.connections.recv()).await.unwrap()
    }
}

/// A server that is set up so, and a pool without connections to it.
async fn reachable(builder: server::Builder) -> (Server, Rc<Http2Pool>, Destination) {
    let server = Server::start(builder).await;
    let to = h2c(server.address);
    (server, Rc::default(), to)
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it did not happen in time")
}

/// Runs a test where tasks may be local ones.
async fn local<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(Box::pin(test)).await
}

fn destination(scheme: Scheme, authority: &str, tls: &BackendTls) -> Destination {
    let backend = Backend {
        id: 1,
        scheme,
        authority: authority.parse().unwrap(),
        weight: 1,
        draining: false,
        health: Health::Unknown,
        state: Arc::default(),
    };
    Destination { backend: Arc::new(backend), tls: tls.clone(), limit: Duration::from_secs(5) }
}

fn h2c(address: SocketAddr) -> Destination {
    destination(Scheme::H2c, &address.to_string(), &BackendTls::new("").unwrap())
}

async fn write(stream: &mut Translated, text: &str) {
    within(stream.write_all(text.as_bytes())).await.unwrap();
    within(stream.flush()).await.unwrap();
}

async fn lease(pool: &Http2Pool, to: &Destination) -> Lease {
    match within(pool.way(to)).await.unwrap() {
        Way::Http2(lease) => lease,
        Way::Http1(_) => panic!("it chose HTTP/1.1"),
    }
}

fn post() -> Request<()> {
    Request::post("http://host.test/path").header("te", "trailers").body(()).unwrap()
}

/// A request without a body.
async fn ask(pool: &Http2Pool, to: &Destination) -> Http2Stream {
    Http2Stream::start(lease(pool, to).await, post(), true).unwrap()
}

async fn head(stream: &mut Http2Stream) -> Result<Response<()>, Failed> {
    within(poll_fn(|cx| stream.poll_head(cx))).await
}

/// The whole body of an answer, and its trailers.
async fn rest(stream: &mut Http2Stream) -> Result<(Vec<u8>, Option<HeaderMap>), Failed> {
    let (mut body, mut trailers) = (Vec::new(), None);
    while let Some(frame) = within(poll_fn(|cx| stream.poll_frame(cx))).await {
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((body, trailers))
}

/// Drives a connection and gives out its requests.
fn requests(mut connection: Connected) -> mpsc::UnboundedReceiver<Asked> {
    let (asked, requests) = mpsc::unbounded_channel();
    spawn_local(async move {
        while let Some(Ok(request)) = connection.accept().await {
            let _ = asked.send(request);
        }
    });
    requests
}

async fn read(mut body: RecvStream) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(part) = within(body.data()).await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        read.extend_from_slice(&part);
    }
    read
}

fn answer(mut reply: SendResponse<Bytes>, text: &'static str) {
    let mut body = reply.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}

fn trailer(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), http::HeaderValue::from_static("1"))])
}
