//! Backends that do now this, now that.

use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{Reason, RecvStream, server, server::SendResponse};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::spawn_local,
};

use super::*;

/// What a backend does with a request, or to its connection.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Echo,
    Refuse,
    Reset,
    BreakOff,
    GoAway,
    HangUp,
}

/// Serves one connection as it pleases, and notes what it has done: `x-id` of each request that it has carried out.
async fn capricious(mut connection: Connected, mut random: fastrand::Rng, done: mpsc::UnboundedSender<u32>) {
    use Whim::{BreakOff, Echo, GoAway, HangUp, Refuse, Reset};
    while let Some(Ok((request, mut reply))) = connection.accept().await {
        let whim =
            if random.u8(..) < 5 { Some(HangUp) } else { random.choice([Echo, Echo, Refuse, Reset, BreakOff, GoAway]) };
        match whim {
            Some(Refuse) => reply.send_reset(Reason::REFUSED_STREAM),
            Some(HangUp) => return,
            Some(whim) => {
                if matches!(whim, GoAway) {
                    connection.graceful_shutdown();
                }
                spawn_local(carry_out(whim, request, reply, done.clone()));
            }
            None => unreachable!("there are whims"),
        }
    }
}

async fn carry_out(
    whim: Whim,
    request: Request<RecvStream>,
    mut reply: SendResponse<Bytes>,
    done: mpsc::UnboundedSender<u32>,
) {
    let id = request.headers()["x-id"].to_str().unwrap().parse().unwrap();
    done.send(id).unwrap();
    if matches!(whim, Whim::Reset) {
        return reply.send_reset(Reason::INTERNAL_ERROR);
    }
    // The peer may be gone by now, or the connection.
    let Ok(mut down) = reply.send_response(Response::new(()), false) else { return };
    let mut body = request.into_body();
    while let Some(Ok(part)) = body.data().await {
        let _ = body.flow_control().release_capacity(part.len());
        let _ = down.send_data(part, false);
        if matches!(whim, Whim::BreakOff) {
            return down.send_reset(Reason::CANCEL);
        }
    }
    let _ = down.send_trailers(trailer("x-end"));
}

/// Posts `length` bytes; whether they came back whole, or else the error.
async fn post_and_read(pool: Rc<Http2Pool>, to: Destination, id: u32, length: usize) -> Result<bool, String> {
    let lease = match pool.way(&to).await {
        Ok(Way::Http2(lease)) => lease,
        Ok(Way::Http1(_)) => panic!("it chose HTTP/1.1"),
        Err(error) => return Err(error.to_string()),
    };
    let (mut from, mut into) = tokio::io::split(Translated::new(pool, to, lease));
    let upload = async {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nX-Id: {id}\r\nContent-Length: {length}\r\n\r\n");
        into.write_all(head.as_bytes()).await?;
        into.write_all(&vec![b'x'; length]).await?;
        into.flush().await
    };
    let mut answer = Vec::new();
    // As it is with requests: what goes wrong with sending shows in the answer.
    let (_, read) = tokio::join!(upload, from.read_to_end(&mut answer));
    read.map_err(|error| error.to_string())?;
    Ok(answer.ends_with(b"0\r\nx-end: 1\r\n\r\n") && answer.iter().filter(|byte| **byte == b'x').count() >= length)
}

#[tokio::test]
async fn whatever_a_backend_does_no_request_hangs_lies_or_is_carried_out_twice() {
    local(async {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut server, pool, to) = reachable(server::Builder::new()).await;
        let (done, mut carried_out) = mpsc::unbounded_channel();
        let mut whims = random.fork();
        spawn_local(async move {
            while let Some(connection) = server.connections.recv().await {
                spawn_local(capricious(connection, whims.fork(), done.clone()));
            }
        });
        let mut whole = 0;
        for round in 0..40 {
            let posts = (0..10).map(|n| {
                let length = if random.bool() { random.usize(1..2000) } else { random.usize(1..200_000) };
                spawn_local(post_and_read(pool.clone(), to.clone(), round * 10 + n, length))
            });
            for post in within(join_all(posts.collect::<Vec<_>>())).await {
                // An error is what the client sees too: something went wrong.
                if let Ok(ends) = post.unwrap() {
                    assert!(ends, "an answer that is not whole seems to be");
                    whole += 1;
                }
            }
        }
        let mut seen = std::collections::HashSet::new();
        while let Ok(id) = carried_out.try_recv() {
            assert!(seen.insert(id), "request {id} was carried out twice");
        }
        println!("{whole} of 400 were answered");
        assert!(whole > 50, "{whole}");
    })
    .await;
}
