//! Making connections, sharing them, losing them.

use std::future::poll_fn;

use futures_util::future::join_all;
use h2::{Reason, server};
use http::Response;
use tokio::{io::AsyncWriteExt, net::TcpListener, task::spawn_local};

use super::*;
use crate::clock;

#[tokio::test]
async fn a_backend_that_goes_away_finishes_what_it_has_and_gets_nothing_new() {
    local(async {
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let mut stream = ask(&pool, &to).await;
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
                let mut next = ask(&pool, &to).await;
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
async fn where_the_backend_takes_few_requests_there_are_more_connections() {
    local(async {
        let mut builder = server::Builder::new();
        builder.max_concurrent_streams(1);
        let (mut server, pool, to) = reachable(builder).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = ask(&pool, &to).await;
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
        let mut stream = ask(&pool, &to).await;
        answer(within(requests.recv()).await.unwrap().1, "hi");
        head(&mut stream).await.unwrap();
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
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
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
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let mut stream = ask(&pool, &to).await;
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
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let mut stream = ask(&pool, &to).await;
        // Nobody drives it: it is never heard of again.
        let _silent = server.accept().await;
        stream.doubt();
        assert!(matches!(head(&mut stream).await.unwrap_err(), Failed::Broken(_)));
        assert!(pool.entry(1, |entry| entry.connections.iter().all(|connection| !connection.is_usable())));
    })
    .await;
}
