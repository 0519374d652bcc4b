use std::{future::poll_fn, rc::Rc, task::Waker};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

async fn fill(pipes: &Rc<Pipes>, from: &TcpStream, most: u64) -> Option<Pipe> {
    poll_fn(|cx| pipes.poll_fill(cx, from, most)).await.unwrap()
}

#[tokio::test]
async fn bytes_pass_and_the_pipe_is_used_again() {
    let (mut sender, from) = pair().await;
    let (to, mut receiver) = pair().await;
    let pipes = Pipes::new(1);
    for text in ["first", "second"] {
        sender.write_all(text.as_bytes()).await.unwrap();
        let mut left = text.len();
        while left > 0 {
            let mut pipe = fill(&pipes, &from, left as u64).await.unwrap();
            left -= pipe.len();
            while !pipe.is_empty() {
                poll_fn(|cx| pipe.poll_empty(cx, &to)).await.unwrap();
            }
        }
        let mut seen = vec![0; text.len()];
        receiver.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen, text.as_bytes());
    }
    assert_eq!((pipes.open.get(), pipes.spare.borrow().len()), (1, 1));
    drop(sender);
    assert_eq!(fill(&pipes, &from, 1).await.map(|pipe| pipe.len()), Some(0), "the end is no bytes");
}

#[tokio::test]
async fn no_more_is_taken_than_asked_for_and_what_is_left_in_a_pipe_goes_with_it() {
    let (mut sender, mut from) = pair().await;
    let pipes = Pipes::new(1);
    sender.write_all(b"stale!fresh").await.unwrap();
    let mut left = 6;
    while left > 0 {
        let stale = fill(&pipes, &from, left).await.unwrap();
        assert!(fill(&pipes, &from, 1).await.is_none(), "there is one pipe, and it is in use");
        left -= stale.len() as u64;
    }
    assert_eq!((pipes.open.get(), pipes.spare.borrow().len()), (0, 0), "it was closed");
    let mut rest = [0; 5];
    from.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"fresh");
}

#[tokio::test]
async fn who_waits_for_a_sender_holds_no_pipe() {
    let (mut sender, from) = pair().await;
    let (to, mut receiver) = pair().await;
    let pipes = Pipes::new(1);
    sender.write_all(b"fresh").await.unwrap();
    let mut pipe = fill(&pipes, &from, 9).await.unwrap();
    while !pipe.is_empty() {
        poll_fn(|cx| pipe.poll_empty(cx, &to)).await.unwrap();
    }
    drop(pipe);
    receiver.read_exact(&mut [0; 5]).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pipes.poll_fill(&mut cx, &from, 4).is_pending());
    assert_eq!((pipes.open.get(), pipes.spare.borrow().len()), (1, 1), "the one there is waits for whoever needs it");
}

#[tokio::test]
async fn a_receiver_that_does_not_read_fills_its_pipe_and_no_more() {
    let (mut sender, from) = pair().await;
    let (to, mut receiver) = pair().await;
    let pipes = Pipes::new(1);
    let total = 16 << 20;
    let sending = async {
        sender.write_all(&vec![b'x'; total]).await.unwrap();
    };
    let (full, told) = tokio::sync::oneshot::channel();
    let passing = async {
        let (mut left, mut full) = (total as u64, Some(full));
        while left > 0 {
            let mut pipe = fill(&pipes, &from, left).await.unwrap();
            assert!(pipe.len() as u64 <= MOST_BYTES);
            left -= pipe.len() as u64;
            while !pipe.is_empty() {
                poll_fn(|cx| {
                    let emptied = pipe.poll_empty(cx, &to);
                    if emptied.is_pending() {
                        full.take().map(|full| full.send(()));
                    }
                    emptied
                })
                .await
                .unwrap();
            }
        }
    };
    let receiving = async {
        told.await.unwrap();
        let mut seen = vec![0; total];
        receiver.read_exact(&mut seen).await.unwrap();
        assert!(seen.iter().all(|byte| *byte == b'x'));
    };
    tokio::join!(sending, passing, receiving);
    assert_eq!(pipes.spare.borrow().len(), 1);
}
