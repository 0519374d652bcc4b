//! Requests and answers on a shared connection.

use std::future::poll_fn;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{Reason, server};
use http::Response;
use tokio::{task::spawn_local, time::timeout};

use super::*;

async fn send(stream: &mut Http2Stream, text: &'static str) -> Result<(), Failed> {
    let mut part = Bytes::from_static(text.as_bytes());
    within(poll_fn(|cx| stream.poll_send(cx, &mut part))).await
}

#[tokio::test]
async fn requests_share_one_connection_from_the_first_on() {
    local(async {
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
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
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
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
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let mut stream = ask(&pool, &to).await;
        let mut requests = requests(server.accept().await);
        within(requests.recv()).await.unwrap().1.send_reset(Reason::INTERNAL_ERROR);
        assert!(matches!(head(&mut stream).await.unwrap_err(), Failed::Broken(_)));
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_any_more_is_told_to_the_backend() {
    local(async {
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let stream = Http2Stream::start(lease(&pool, &to).await, post(), false).unwrap();
        let (_request, mut reply) = within(requests(server.accept().await).recv()).await.unwrap();
        drop(stream);
        let reason = within(poll_fn(|cx| reply.poll_reset(cx))).await.unwrap();
        assert_eq!(reason, Reason::CANCEL);
    })
    .await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_and_nobody_else() {
    local(async {
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
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
        let mut other = ask(&pool, &to).await;
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
