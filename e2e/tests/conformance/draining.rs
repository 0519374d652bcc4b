//! SIGTERM while a WebSocket is open: over HTTP/2 it is counted and waited for as over HTTP/1.1, for as long as the grace
//! time and no longer.

use anyhow::{Context, Result, bail, ensure};
use e2e::{http, raw::Raw, wait};

use crate::{
    bench::Bench,
    frames::{ACK, DATA, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PING, RST_STREAM, frame, request},
    http2_websocket::{OK, connect, switching},
    recorder::{ACCEPT, Then},
    tunnels::UPGRADE,
};

const CUT: &str = "grace time is over";

/// An open WebSocket.
enum WebSocket {
    Http1(Raw),
    Http2(Http2),
}

impl WebSocket {
    async fn over_http1(bench: &Bench) -> Result<Self> {
        let mut raw = bench.connect().await?;
        raw.send(UPGRADE).await?;
        ensure!(raw.head().await?.status() == 101);
        Ok(Self::Http1(raw))
    }

    async fn over_http2(bench: &Bench) -> Result<Self> {
        let mut http2 = bench.connect_http2().await?;
        http2.send(connect(bench.scheme(), "/ws", &[])).await?;
        let head = of_the_stream(&mut http2).await?;
        ensure!(head.kind == HEADERS && head.payload.contains(&OK), "{head:?}");
        Ok(Self::Http2(http2))
    }

    /// Says something, and hears it back from the backend.
    async fn echoes(&mut self, message: &str) -> Result<()> {
        let heard = match self {
            Self::Http1(raw) => {
                raw.send(message).await?;
                raw.bytes(message.len()).await?
            }
            Self::Http2(http2) => {
                http2.send(frame(DATA, 0, 1, message)).await?;
                of_the_stream(http2).await?.payload
            }
        };
        ensure!(heard == message.as_bytes(), "{message:?} came back as {:?}", String::from_utf8_lossy(&heard));
        Ok(())
    }

    /// The client is done, and hears that the backend is too. Over HTTP/2 he asks for more behind GOAWAY, in vain, and it is
    /// not he who closes the connection.
    async fn ends(&mut self) -> Result<()> {
        match self {
            Self::Http1(raw) => {
                raw.finish().await?;
                ensure!(raw.rest().await?.is_empty());
            }
            Self::Http2(http2) => {
                http2.send([request(3), frame(DATA, END_STREAM, 1, "")].concat()).await?;
                let last = of_the_stream(http2).await?;
                ensure!((last.kind, last.flags & END_STREAM) == (DATA, END_STREAM), "{last:?}");
                while let Some(frame) = http2.next().await? {
                    ensure!(frame.stream != 3, "a request was taken after the last: {frame:?}");
                }
            }
        }
        Ok(())
    }

    /// The connection ends, and over HTTP/2 the stream has no end of its own.
    async fn is_cut(&mut self) -> Result<()> {
        match self {
            Self::Http1(raw) => drop(raw.rest().await),
            Self::Http2(http2) => {
                while let Some(frame) = http2.next().await? {
                    ensure!(frame.kind != DATA, "{frame:?}");
                }
            }
        }
        Ok(())
    }
}

/// The next frame of stream 1. PING is answered; without that the server cannot know that GOAWAY has arrived.
async fn of_the_stream(http2: &mut Http2) -> Result<Frame> {
    while let Some(next) = http2.next().await? {
        match next.kind {
            PING if next.flags & ACK == 0 => http2.send(frame(PING, ACK, 0, &next.payload)).await?,
            DATA | HEADERS | RST_STREAM if next.stream == 1 => return Ok(next),
            _ => {}
        }
    }
    bail!("the connection has ended")
}

/// Waits until GOAWAY names stream 1 as the last.
async fn last_is_named(http2: &mut Http2) -> Result<()> {
    loop {
        let next = http2.next().await?.context("the connection has ended")?;
        match next.kind {
            PING if next.flags & ACK == 0 => http2.send(frame(PING, ACK, 0, &next.payload)).await?,
            GOAWAY if next.payload[..4] == 1_u32.to_be_bytes() => return Ok(()),
            _ => {}
        }
    }
}

/// Whether HTTP/2 is spoken, and TLS.
const KINDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// Planes with a WebSocket open through them.
async fn begin((is_http2, is_tls): (bool, bool), args: &[&str]) -> Result<(Bench, WebSocket)> {
    let bench = if is_tls { Bench::start_tls(args).await? } else { Bench::start_with(args).await? };
    bench.recorder.reply("/ws", switching(ACCEPT), Then::Tunnel);
    let opened = if is_http2 { WebSocket::over_http2(&bench).await } else { WebSocket::over_http1(&bench).await };
    let mut websocket = opened?;
    websocket.echoes("before").await?;
    Ok((bench, websocket))
}

/// A client of HTTP/2 that has been answered, says nothing more, and does not see that the other side is ending.
async fn deaf(bench: &Bench) -> Result<Http2> {
    let mut http2 = bench.connect_http2().await?;
    http2.send(request(1)).await?;
    while of_the_stream(&mut http2).await?.flags & END_STREAM == 0 {}
    Ok(http2)
}

/// Tells the data plane to end, and waits until it says that it does.
async fn sigterm(bench: &Bench) -> Result<()> {
    let data_plane = bench.deployment.data_plane()?;
    data_plane.process.sigterm()?;
    let admin = data_plane.admin();
    let drains = async || http::get(admin, "/readyz").await.is_ok_and(|answer| answer.status == 503);
    wait::until_true("readyz to say that it drains", drains).await?;
    Ok(())
}

/// Waits for so many tunnels made so far, in flight at the backend, and connections open.
async fn counts(bench: &Bench, expected: [f64; 3]) -> Result<()> {
    let names = ["balancer_tunnels_total", "balancer_backend_in_flight", "balancer_connections_open"];
    let data_plane = bench.deployment.data_plane()?;
    let are_so = async || data_plane.metrics().await.is_ok_and(|now| names.map(|name| now.sum(name, "")) == expected);
    wait::until_true(&format!("{names:?} to be {expected:?}"), are_so).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_websocket_is_waited_for() -> Result<()> {
    for kind in KINDS {
        let begun = begin(kind, &["--grace-secs=600", "--client-idle-timeout-ms=300"]);
        let (mut bench, mut websocket) = Box::pin(begun).await?;
        let mut deaf = deaf(&bench).await?;
        counts(&bench, [1.0, 1.0, 2.0]).await?;
        sigterm(&bench).await?;
        if let WebSocket::Http2(http2) = &mut websocket {
            last_is_named(http2).await?;
        }
        // Who has nothing open has this long; a WebSocket is something, though nothing passes it.
        while deaf.next().await?.is_some() {}
        counts(&bench, [1.0, 1.0, 1.0]).await?;
        websocket.echoes("while it drains").await?;
        websocket.ends().await?;
        let process = &mut bench.deployment.data_planes[0].process;
        ensure!(process.exit_code().await? == 0);
        ensure!(!process.logs().iter().any(|line| line.contains(CUT)), "it ended before the grace time did");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_does_not_end_is_cut() -> Result<()> {
    for kind in KINDS {
        let (mut bench, mut websocket) = Box::pin(begin(kind, &["--grace-secs=1"])).await?;
        sigterm(&bench).await?;
        websocket.is_cut().await?;
        let process = &mut bench.deployment.data_planes[0].process;
        ensure!(process.exit_code().await? == 0);
        ensure!(process.logs().iter().any(|line| line.contains(CUT)), "it was the grace time that ended it");
    }
    Ok(())
}
