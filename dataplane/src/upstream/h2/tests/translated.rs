//! Requests of HTTP/1.1 to a backend of HTTP/2.

use bytes::Bytes;
use h2::{Reason, server};
use http::Response;
use tokio::io::AsyncReadExt;

use super::*;

/// The client's end of a request in HTTP/1.1 that begins so, and what the backend is asked.
async fn begun(head: &str) -> (Translated, mpsc::UnboundedReceiver<Asked>) {
    let (mut server, pool, to) = reachable(server::Builder::new()).await;
    let lease = lease(&pool, &to).await;
    let mut stream = Translated::new(pool, to, lease);
    write(&mut stream, head).await;
    (stream, requests(server.accept().await))
}

/// All that is said until nothing more comes.
async fn read_all(stream: &mut Translated) -> String {
    let mut read = String::new();
    within(stream.read_to_string(&mut read)).await.unwrap();
    read
}

#[tokio::test]
async fn a_request_of_http1_is_answered_in_http1() {
    local(async {
        let (mut stream, mut requests) = begun("GET /a?b HTTP/1.1\r\nHost: h.test\r\nX-A: b\r\n\r\n").await;
        let (request, reply) = within(requests.recv()).await.unwrap();
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
        let (mut stream, mut requests) =
            begun("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await;
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
        let (mut stream, mut requests) = begun("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await;
        write(&mut stream, "hello").await;
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
        let (mut stream, mut requests) = begun("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await;
        write(&mut stream, "hello").await;
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
        let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        let (mut stream, mut requests) = begun(head).await;
        let mut hundred = [0; 25];
        within(stream.read_exact(&mut hundred)).await.unwrap();
        assert_eq!(&hundred, b"HTTP/1.1 100 Continue\r\n\r\n");
        write(&mut stream, "hi").await;
        let (request, mut reply) = within(requests.recv()).await.unwrap();
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
        let (mut stream, mut requests) = begun("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
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
