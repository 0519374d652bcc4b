//! Against real HTTP/2 servers on real sockets.

use std::{
    future::poll_fn,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{LocalSet, spawn_local},
    time::timeout,
};

use super::*;
use crate::{clock, pool::Health};

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

/// The client's end of a request in HTTP/1.1.
async fn translated(server: &Server) -> Translated {
    let (pool, to) = (Rc::new(Http2Pool::default()), h2c(server.address));
    let lease = lease(&pool, &to).await;
    Translated::new(pool, to, lease)
}

async fn write(stream: &mut Translated, text: &str) {
    within(stream.write_all(text.as_bytes())).await.unwrap();
    within(stream.flush()).await.unwrap();
}

/// All that is said until nothing more comes.
async fn read_all(stream: &mut Translated) -> String {
    let mut read = String::new();
    within(stream.read_to_string(&mut read)).await.unwrap();
    read
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

async fn head(stream: &mut Http2Stream) -> Result<Response<()>, Failed> {
    within(poll_fn(|cx| stream.poll_head(cx))).await
}

async fn send(stream: &mut Http2Stream, text: &'static str) -> Result<(), Failed> {
    let mut part = Bytes::from_static(text.as_bytes());
    within(poll_fn(|cx| stream.poll_send(cx, &mut part))).await
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

#[tokio::test]
async fn requests_share_one_connection_from_the_first_on() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let leases = join_all((0..20).map(|_| lease(&pool, &to))).await;
        let streams = leases.into_iter().map(|lease| Http2Stream::start(lease, post(), true).unwrap());
        let mut streams: Vec<_> = streams.collect();
        let mut requests = requests(server.accept().await);
        for _ in 0..20 {
            answer(within(requests.recv()).await.unwrap().1, "hi");
        }
        for stream in &mut streams {
            assert_eq!(head(stream).await.unwrap().status(), 200);
            assert_eq!(rest(stream).await.unwrap().0, b"hi");
        }
        assert!(server.connections.try_recv().is_err(), "a second connection was made");
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions_and_te_with_them() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), false).unwrap();
        send(&mut stream, "abc").await.unwrap();
        stream.end(Some(trailer("x-up"))).unwrap();
        let (request, mut reply) = within(requests(server.accept().await).recv()).await.unwrap();
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()["te"]),
            ("http://host.test/path", &"trailers".parse().unwrap())
        );
        let mut body = request.into_body();
        assert_eq!(within(body.data()).await.unwrap().unwrap(), "abc");
        assert!(within(body.trailers()).await.unwrap().unwrap().contains_key("x-up"));
        let mut down = reply.send_response(Response::new(()), false).unwrap();
        down.send_data("def".into(), false).unwrap();
        down.send_trailers(trailer("x-down")).unwrap();
        head(&mut stream).await.unwrap();
        assert!(!stream.is_answered());
        let (body, trailers) = rest(&mut stream).await.unwrap();
        assert!(body == b"def" && trailers.unwrap().contains_key("x-down") && stream.is_answered());
    })
    .await;
}

#[tokio::test]
async fn a_reset_for_another_reason_is_not_taken_for_a_refusal() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        let mut requests = requests(server.accept().await);
        within(requests.recv()).await.unwrap().1.send_reset(Reason::INTERNAL_ERROR);
        assert!(matches!(head(&mut stream).await.unwrap_err(), Failed::Broken(_)));
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_goes_away_finishes_what_it_has_and_gets_nothing_new() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        let mut first = server.accept().await;
        let (_, reply) = within(first.accept()).await.unwrap().unwrap();
        first.graceful_shutdown();
        // What comes before the news has reached us is still served.
        spawn_local(async move {
            while let Some(Ok((_, reply))) = first.accept().await {
                answer(reply, "late");
            }
        });
        // Once the news has arrived, requests go to a new connection.
        let mut second = within(async {
            loop {
                let mut next = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
                tokio::select! {
                    connection = server.connections.recv() => return (requests(connection.unwrap()), next),
                    served = poll_fn(|cx| next.poll_head(cx)) => if let Err(lost) = served {
                        assert!(matches!(lost, Failed::NotProcessed(_)), "{lost}");
                    },
                }
            }
        })
        .await;
        answer(within(second.0.recv()).await.unwrap().1, "new");
        answer(reply, "old");
        head(&mut stream).await.unwrap();
        assert_eq!(rest(&mut stream).await.unwrap().0, b"old");
        head(&mut second.1).await.unwrap();
        assert_eq!(rest(&mut second.1).await.unwrap().0, b"new");
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_any_more_is_told_to_the_backend() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let stream = Http2Stream::start(lease(&pool, &to).await, post(), false).unwrap();
        let (_request, mut reply) = within(requests(server.accept().await).recv()).await.unwrap();
        drop(stream);
        let reason = within(poll_fn(|cx| reply.poll_reset(cx))).await.unwrap();
        assert_eq!(reason, Reason::CANCEL);
    })
    .await;
}

#[tokio::test]
async fn where_the_backend_takes_few_requests_there_are_more_connections() {
    local(async {
        let mut builder = server::Builder::new();
        builder.max_concurrent_streams(1);
        let mut server = Server::start(builder).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
            let mut requests = requests(server.accept().await);
            let (_, mut reply) = within(requests.recv()).await.unwrap();
            let body = reply.send_response(Response::new(()), false).unwrap();
            // What the backend allows has come before its answer.
            head(&mut stream).await.unwrap();
            held.push((stream, requests, body));
        }
        let (stream, mut requests, mut body) = held.remove(0);
        body.send_data("".into(), true).unwrap();
        drop(stream);
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        answer(within(requests.recv()).await.unwrap().1, "hi");
        head(&mut stream).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_and_nobody_else() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut slow = Http2Stream::start(lease(&pool, &to).await, post(), false).unwrap();
        let mut requests = requests(server.accept().await);
        let mut big = Bytes::from(vec![7; 1 << 20]);
        let (first, full) = timeout(PATIENCE, async {
            let sending = poll_fn(|cx| slow.poll_send(cx, &mut big));
            tokio::select! {
                _ = sending => panic!("a megabyte was taken over without a reader"),
                request = requests.recv() => request.unwrap(),
            }
        })
        .await
        .unwrap();
        let mut other = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        answer(within(requests.recv()).await.unwrap().1, "quick");
        head(&mut other).await.unwrap();
        let received = spawn_local(read(first.into_body()));
        within(poll_fn(|cx| slow.poll_send(cx, &mut big))).await.unwrap();
        slow.end(None).unwrap();
        assert_eq!(within(received).await.unwrap().len(), 1 << 20);
        drop(full);
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_told_to_all_who_wait() {
    local(async {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let (pool, to) = (Http2Pool::default(), h2c(listener.local_addr().unwrap()));
        drop(listener);
        for result in join_all((0..5).map(|_| pool.way(&to))).await {
            assert!(matches!(result, Err(ConnectError::Io(_))));
        }
    })
    .await;
}

#[tokio::test]
async fn who_ends_the_connection_at_once_or_speaks_otherwise_gets_no_request() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pool, to) = (Http2Pool::default(), h2c(listener.local_addr().unwrap()));
        for said in ["", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"] {
            let other = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(said.as_bytes()).await.unwrap();
            };
            let (way, ()) = within(async { tokio::join!(pool.way(&to), other) }).await;
            assert!(matches!(way, Err(ConnectError::Http2(_))), "{said:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_takes_every_connection_and_no_request_is_not_asked_for_ever() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let goodbye = async {
            while let Some(mut connection) = server.connections.recv().await {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                while connection.accept().await.is_some() {}
            }
        };
        let way = async {
            loop {
                match pool.way(&to).await {
                    // The news was not there yet.
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            error = within(way) => assert!(matches!(error, ConnectError::Http2(_)), "{error}"),
            () = goodbye => panic!("nobody came"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_dead_connection_is_replaced_and_an_idle_one_is_closed() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        drop(server.accept().await);
        assert!(matches!(head(&mut stream).await.unwrap_err(), Failed::Broken(_)));
        drop(stream);
        drop(lease(&pool, &to).await);
        let mut second = server.accept().await;
        pool.sweep(Nanos(0), |_| true);
        assert_eq!(pool.entry(1, |entry| entry.connections.len()), 1);
        pool.sweep(clock::now().plus(1), |_| true);
        assert!(within(second.accept()).await.is_none(), "the server hears of the end");
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_has_fallen_silent_is_given_up() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let (pool, to) = (Http2Pool::default(), h2c(server.address));
        let mut stream = Http2Stream::start(lease(&pool, &to).await, post(), true).unwrap();
        // Nobody drives it: it is never heard of again.
        let _silent = server.accept().await;
        stream.doubt();
        assert!(matches!(head(&mut stream).await.unwrap_err(), Failed::Broken(_)));
        assert!(pool.entry(1, |entry| entry.connections.iter().all(|connection| !connection.is_usable())));
    })
    .await;
}

/// A certificate for localhost with its key in files, and the text to trust it by.
fn certificate(dir: &Path) -> (PathBuf, PathBuf, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert_file, key_file, certificate.pem())
}

/// Two ways to a backend over TLS that speaks `versions`, asked for at once.
async fn two_ways(versions: test_backend::Versions, trust: Option<&str>) -> Vec<Result<Way, ConnectError>> {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key, pem) = certificate(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    let speech = test_backend::Speech::tls(versions, &cert, &key).unwrap();
    spawn_local(test_backend::run_speaking(listener, None, speech, Default::default()));
    let tls = BackendTls::new(trust.unwrap_or(&pem)).unwrap();
    let (pool, to) = (Rc::new(Http2Pool::default()), destination(Scheme::Https, &authority, &tls));
    within(join_all((0..2).map(|_| pool.way(&to)))).await
}

#[tokio::test]
async fn over_tls_the_backend_chooses_and_must_be_known() {
    local(async {
        use test_backend::Versions::{Both, Http1, Http2};
        for (versions, is_http2) in [(Both, true), (Http2, true), (Http1, false)] {
            for way in two_ways(versions, None).await {
                assert_eq!(matches!(way.unwrap(), Way::Http2(_)), is_http2, "{versions:?}");
            }
        }
        for way in two_ways(Both, Some("")).await {
            let Err(error) = way else { panic!("a stranger was believed") };
            assert_eq!(error.to_string(), "TLS: invalid peer certificate: UnknownIssuer");
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_of_http1_is_answered_in_http1() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        write(&mut stream, "GET /a?b HTTP/1.1\r\nHost: h.test\r\nX-A: b\r\n\r\n").await;
        let (request, reply) = within(requests(server.accept().await).recv()).await.unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", "http://h.test/a?b"));
        assert!(
            request.headers()["te"] == "trailers" && request.headers()["x-a"] == "b" && request.body().is_end_stream()
        );
        answer(reply, "hello");
        let said = read_all(&mut stream).await;
        let expected =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(said, expected);
    })
    .await;
}

#[tokio::test]
async fn chunks_and_trailers_are_translated_both_ways_while_both_go_on() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        write(&mut stream, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let mut requests = requests(server.accept().await);
        let (request, mut reply) = within(requests.recv()).await.unwrap();
        let mut body = request.into_body();
        write(&mut stream, "3\r\nabc\r\n2\r").await;
        assert_eq!(within(body.data()).await.unwrap().unwrap(), "abc");
        let mut down = reply.send_response(Response::new(()), false).unwrap();
        down.send_data("first".into(), false).unwrap();
        let mut beginning = vec![0; 76];
        within(stream.read_exact(&mut beginning)).await.unwrap();
        assert!(beginning.ends_with(b"\r\n\r\n5\r\nfirst\r\n"), "{}", String::from_utf8_lossy(&beginning));
        write(&mut stream, "\nde\r\n0\r\nX-Sum: 7\r\n\r\n").await;
        assert_eq!(within(body.data()).await.unwrap().unwrap(), "de");
        assert_eq!(within(body.trailers()).await.unwrap().unwrap()["x-sum"], "7");
        down.send_trailers(trailer("grpc-status")).unwrap();
        assert_eq!(read_all(&mut stream).await, "0\r\ngrpc-status: 1\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_is_sent_again_without_anybody_noticing() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        write(&mut stream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await;
        write(&mut stream, "hello").await;
        let mut requests = requests(server.accept().await);
        let answered = async {
            for _ in 0..2 {
                within(requests.recv()).await.unwrap().1.send_reset(Reason::REFUSED_STREAM);
            }
            let (request, reply) = within(requests.recv()).await.unwrap();
            assert_eq!(read(request.into_body()).await, b"hello");
            answer(reply, "done");
        };
        let (said, ()) = tokio::join!(read_all(&mut stream), answered);
        assert!(said.ends_with("4\r\ndone\r\n0\r\n\r\n"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_refused_again_and_again_is_given_back() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        write(&mut stream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await;
        write(&mut stream, "hello").await;
        let mut requests = requests(server.accept().await);
        let refuse = async {
            while let Some((_, mut reply)) = requests.recv().await {
                reply.send_reset(Reason::REFUSED_STREAM);
            }
        };
        let mut read = Vec::new();
        tokio::select! {
            failed = within(stream.read_to_end(&mut read)) => assert!(failed.unwrap_err().to_string().contains("refused")),
            () = refuse => panic!("the connection has ended"),
        }
        assert_eq!(stream.take_back().unwrap(), b"hello");
    })
    .await;
}

#[tokio::test]
async fn what_comes_before_the_answer_is_translated_too() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        write(&mut stream, head).await;
        let mut hundred = [0; 25];
        within(stream.read_exact(&mut hundred)).await.unwrap();
        assert_eq!(&hundred, b"HTTP/1.1 100 Continue\r\n\r\n");
        write(&mut stream, "hi").await;
        let (request, mut reply) = within(requests(server.accept().await).recv()).await.unwrap();
        assert!(!request.headers().contains_key("expect"));
        reply.send_informational(Response::builder().status(103).header("link", "</a>").body(()).unwrap()).unwrap();
        let mut end = reply.send_response(Response::builder().status(204).body(()).unwrap(), false).unwrap();
        end.send_data(Bytes::new(), true).unwrap();
        let said = read_all(&mut stream).await;
        let (early, last) = said.split_once("\r\n\r\n").unwrap();
        assert_eq!(early, "HTTP/1.1 103 Early Hints\r\nlink: </a>");
        assert_eq!(last, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_seem_whole() {
    local(async {
        let mut server = Server::start(server::Builder::new()).await;
        let mut stream = translated(&server).await;
        write(&mut stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let mut requests = requests(server.accept().await);
        let (_, mut reply) = within(requests.recv()).await.unwrap();
        let mut body = reply.send_response(Response::new(()), false).unwrap();
        body.send_data("half".into(), false).unwrap();
        let mut read = vec![0; 75];
        within(stream.read_exact(&mut read)).await.unwrap();
        body.send_reset(Reason::INTERNAL_ERROR);
        assert!(within(stream.read_to_end(&mut read)).await.is_err());
        assert!(!read.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&read));
    })
    .await;
}

/// A frame on the stream of a connection's first request, or on the connection itself.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// HEADERS, with fields that are in no table and not compressed.
fn headers(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        for text in [name, value] {
            let literal = if text == name { vec![0] } else { Vec::new() };
            block.extend([&literal[..], &[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        }
    }
    frame(1, flags, 1, &block)
}

/// What is read of an answer that begins with `fine` and goes on with `bad`; the error at its end.
async fn broken_answer(fine: &[u8], bad: &[u8]) -> (String, std::io::Error) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (pool, to) = (Rc::new(Http2Pool::default()), h2c(listener.local_addr().unwrap()));
    let settings = frame(4, 0, 0, &[]);
    let accepted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&settings).await.unwrap();
        stream
    };
    let (lease, mut server) = tokio::join!(lease(&pool, &to), accepted);
    let mut stream = Translated::new(pool, to, lease);
    write(&mut stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut asked = vec![0; 4096];
    while !asked.windows(4).any(|bytes| bytes[..2] == [1, 5]) {
        assert!(within(server.read(&mut asked)).await.unwrap() > 0, "no request came");
    }
    server.write_all(&[fine, bad].concat()).await.unwrap();
    let mut read = Vec::new();
    let error = within(stream.read_to_end(&mut read)).await.unwrap_err();
    (String::from_utf8(read).unwrap(), error)
}

#[tokio::test]
async fn what_is_no_answer_of_http2_does_not_become_one_of_http1() {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    local(async {
        let ok = (":status", "200");
        for bad in [
            headers(END_HEADERS | END_STREAM, &[ok, ("connection", "close")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("transfer-encoding", "chunked")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("X-Upper", "1")]),
            headers(END_HEADERS | END_STREAM, &[ok, ("x-a", "b\r\nx-c: d")]),
            headers(END_HEADERS | END_STREAM, &[("x-a", "no status")]),
            headers(END_HEADERS | END_STREAM, &[(":status", "2oo")]),
            headers(END_HEADERS, &[(":status", "101")]),
            frame(0, 0, 1, b"data before a head"),
            frame(5, END_HEADERS, 1, b"\0\0\0\x02a promise"),
            frame(3, 0, 1, &[0, 0, 0, 2]),
        ] {
            let (read, error) = broken_answer(&[], &bad).await;
            assert_eq!(read, "", "{error} after {bad:?}");
        }
        let fine = headers(END_HEADERS, &[ok, ("content-length", "5")]);
        for bad in
            [frame(0, END_STREAM, 1, b"abc"), frame(0, END_STREAM, 1, b"abcdefg"), frame(1, END_HEADERS, 1, b"\xff")]
        {
            let (read, error) = broken_answer(&fine, &bad).await;
            assert!(read.contains("content-length: 5\r\n") && !read.ends_with("abcde"), "{read:?}, {error}");
        }
    })
    .await;
}
