//! HTTP/2 clients that stop in the middle: of what they send, of what they read. Each stream is let go after its own
//! time-out, and its backend's connection with it; the other streams go on. And clients that want very much at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::wait;

use crate::{
    bench::Bench,
    frames::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, Http2, RST_STREAM, SETTINGS, field, frame, get, request},
    http2::{Outcome, outcome},
    recorder::Then,
};

const CLIENT_IDLE: [&str; 2] = ["--client-idle-timeout-ms", "1000"];
const IDLE: Duration = Duration::from_millis(1000);

/// `:status: 408`, an indexed name and three bytes of Huffman code (RFC 7541 section 6.2.1).
const REQUEST_TIMEOUT: [u8; 5] = [0x48, 0x83, 0x68, 0x0f, 0x7f];

/// The fields of a GET of `/large`.
fn large() -> Vec<u8> {
    [b"\x82\x86".to_vec(), field(":path", "/large"), field(":authority", "h")].concat()
}

/// The next frame of this kind on a stream.
async fn next(http2: &mut Http2, kind: u8, stream: u32) -> Result<Frame> {
    loop {
        let frame = http2.next().await?;
        let frame = frame.ok_or_else(|| anyhow::anyhow!("the connection ends before frame {kind}"))?;
        if (frame.kind, frame.stream) == (kind, stream) {
            return Ok(frame);
        }
    }
}

/// Nothing is in flight to the backend any more.
async fn let_go(bench: &Bench) -> Result<()> {
    let plane = bench.deployment.data_plane()?;
    let none = async || plane.metrics().await.is_ok_and(|metrics| metrics.sum("balancer_backend_in_flight", "") == 0.0);
    wait::until_true("the backend's connection to be let go", none).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops() -> Result<()> {
    // The backend is not to blame, however little time it gets.
    let bench = Bench::start_with(&[&CLIENT_IDLE[..], &["--response-timeout-ms", "300"]].concat()).await?;
    let (mut http2, start) = (bench.connect_http2().await?, Instant::now());
    http2.send([frame(HEADERS, END_HEADERS, 1, get()), frame(DATA, 0, 1, "x")].concat()).await?;
    let answer = next(&mut http2, HEADERS, 1).await?;
    ensure!(answer.payload.starts_with(&REQUEST_TIMEOUT), "{answer:?}");
    ensure!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
    let_go(&bench).await?;
    http2.send(request(3)).await?;
    ensure!(next(&mut http2, HEADERS, 3).await?.payload.starts_with(&[0x88]), "the connection goes on");
    let failures = bench.deployment.data_plane()?.metrics().await?.sum("balancer_backend_failures_total", "");
    ensure!(failures == 0.0, "{failures} failures of the backend");
    Ok(())
}

/// A call of gRPC may say nothing for long once it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_pause_when_the_answer_has_begun() -> Result<()> {
    let bench = Bench::start_with(&CLIENT_IDLE).await?;
    bench.recorder.reply_early("/large", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegins", Then::Hold);
    let mut http2 = bench.connect_http2().await?;
    http2.send([frame(HEADERS, END_HEADERS, 1, large()), frame(DATA, 0, 1, "x")].concat()).await?;
    ensure!(next(&mut http2, DATA, 1).await?.payload == b"begins");
    let ended = tokio::time::timeout(IDLE * 2, next(&mut http2, RST_STREAM, 1)).await;
    ensure!(ended.is_err(), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_of_an_answer() -> Result<()> {
    let bench = Bench::start_with(&CLIENT_IDLE).await?;
    let body = "x".repeat(4 << 20);
    bench.recorder.reply(
        "/large",
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        Then::Keep,
    );
    let (mut http2, start) = (bench.connect_http2().await?, Instant::now());
    http2.send(frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0])).await?;
    http2.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, large())).await?;
    next(&mut http2, RST_STREAM, 1).await?;
    ensure!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
    let_go(&bench).await?;
    http2.send([frame(SETTINGS, 0, 0, [0, 4, 0, 0, 255, 255]), request(3)].concat()).await?;
    ensure!(next(&mut http2, DATA, 3).await?.payload == b"ok", "the connection goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_in_the_middle_of_an_answer() -> Result<()> {
    let bench = Bench::start_with(&CLIENT_IDLE).await?;
    let body = "x".repeat(4 << 20);
    bench.recorder.reply(
        "/large",
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        Then::Keep,
    );
    let mut http2 = bench.connect_http2().await?;
    // Neither the stream nor the connection is given more than the first window; on the second, nothing is read at all.
    http2.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, large())).await?;
    next(&mut http2, DATA, 1).await?;
    let mut silent = bench.connect_http2().await?;
    silent.send(frame(SETTINGS, 0, 0, [0, 4, 0x7f, 0xff, 0xff, 0xff])).await?;
    silent.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, large())).await?;
    let_go(&bench).await?;
    bench.serves().await
}

/// The streams of one client are not as many connections to a backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_open_no_more_connections_than_allowed() -> Result<()> {
    let bench = Bench::start_with(&["--max-in-flight", "20", "--queue-timeout-ms", "500"]).await?;
    bench.recorder.reply("/", "", Then::Hold);
    let mut http2 = bench.connect_http2().await?;
    let requests: Vec<u8> = (0..100).flat_map(|number| request(2 * number + 1)).collect();
    http2.send(requests).await?;
    for _ in 0..80 {
        ensure!(outcome(&mut http2).await? == Outcome::Refused, "what has no place in time is told so");
    }
    let plane = bench.deployment.data_plane()?;
    let metrics = plane.metrics().await?;
    ensure!(metrics.sum("balancer_backend_in_flight", "") == 20.0);
    ensure!(metrics.sum("balancer_own_answers_total", "overloaded") == 80.0);
    ensure!(bench.recorder.take().await?.seen.len() == 20);
    Ok(())
}
