//! Bodies of unknown length, slow ones, and ones that stop.

use std::{io::Write, sync::atomic::Ordering::SeqCst, time::Duration};

use dataplane::server::{ProxyOptions, ServeOptions};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::net::TcpStream;

use crate::{backend, http2::handshake, plane::Plane};

fn with(proxy: ProxyOptions) -> ServeOptions {
    ServeOptions { proxy, ..ServeOptions::default() }
}

#[test]
fn a_connection_is_used_again_after_a_chunked_answer() {
    let (address, seen) = backend::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").is_ok()
    });
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
        assert_eq!(client.exactly(12), b"2\r\nok\r\n0\r\n\r\n");
    }
    assert_eq!(seen.connections.load(SeqCst), 1);
}

#[test]
fn the_chunked_body_of_a_get_reaches_the_backend() {
    let (address, seen) = backend::start(backend::ok);
    let plane = Plane::start(&[address], None);
    let mut client = plane.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    drop(client);
    let request = seen.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(request.contains("\r\ntransfer-encoding: chunked\r\n"), "{request}");
}

#[test]
fn an_answer_that_stops_is_cut_after_the_idle_time_out() {
    let (address, _) =
        backend::start(|_, stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").is_ok());
    let backend_idle_timeout = Duration::from_millis(100);
    let options = with(ProxyOptions { backend_idle_timeout, ..ProxyOptions::default() });
    let plane = Plane::start_with(&[address], None, options);
    let mut client = plane.connect();
    assert!(client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").rest().ends_with("\r\n\r\nhe"));
}

#[tokio::test]
async fn an_http2_answer_may_take_longer_than_an_idle_connection() {
    let short = Duration::from_millis(100);
    let (address, _) = backend::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n").unwrap();
        // Slower in all than any idle connection may be, but never idle itself.
        (0..20).all(|_| {
            std::thread::sleep(short / 2);
            stream.write_all(b"x").is_ok()
        })
    });
    let proxy = ProxyOptions { keep_alive_timeout: short, client_idle_timeout: short, ..ProxyOptions::default() };
    let plane = Plane::start_with(&[address], None, with(proxy));
    let mut sender = handshake(TcpStream::connect(plane.address).await.unwrap()).await;
    let request = Request::get("http://h/").body(Full::default()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 20);
}

#[test]
fn a_tunnel_that_carries_nothing_is_closed() {
    let (address, _) = backend::start(|_, stream| {
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
            .is_ok()
    });
    let tunnel_idle_timeout = Duration::from_millis(100);
    let options = with(ProxyOptions { tunnel_idle_timeout, ..ProxyOptions::default() });
    let plane = Plane::start_with(&[address], None, options);
    let mut client = plane.connect();
    let handshake = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    assert_eq!(client.send(handshake).answer().status, 101);
    assert!(client.is_closed());
}
