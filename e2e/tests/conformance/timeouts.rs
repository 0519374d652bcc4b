//! Slow peers, each let go after its own time-out, and none to the harm of others.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{bench::Bench, case::final_head, recorder::Then};

/// Flag, and milliseconds: far apart, so that one cannot be mistaken for another.
const FLAGS: [&str; 12] = [
    "--backend-idle-timeout-ms",
    "3500",
    "--header-timeout-ms",
    "600",
    "--keep-alive-timeout-ms",
    "1500",
    "--client-idle-timeout-ms",
    "1000",
    "--response-timeout-ms",
    "2500",
    "--connect-timeout-ms",
    "500",
];
const HEADER: u64 = 600;
const KEEP_ALIVE: u64 = 1500;
const CLIENT_IDLE: u64 = 1000;
const RESPONSE: u64 = 2500;
const BACKEND_IDLE: u64 = 3500;

/// What a time-out may be late, on a machine that is busy.
const LATE: u64 = 2000;

fn came_after(start: Instant, millis: u64) -> Result<()> {
    let took = u64::try_from(start.elapsed().as_millis())?;
    ensure!((millis.saturating_sub(50)..millis + LATE).contains(&took), "after {took} ms instead of {millis}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_nothing() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    let (mut raw, start) = (bench.connect().await?, Instant::now());
    bench.closed(&mut raw).await?;
    came_after(start, HEADER)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_trickles_in() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    let (mut raw, start) = (bench.connect().await?, Instant::now());
    raw.send("GET / HTTP/1.1\r\nHost: h\r\n").await?;
    let answered = async {
        // What it is sent after it has answered is thrown away for a while.
        while let Err(_pause) = tokio::time::timeout(Duration::from_millis(100), raw.head()).await {
            raw.send("X: y\r\n").await?;
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(Duration::from_millis(HEADER + LATE), answered).await;
    ensure!(in_time.is_ok(), "each line bought it more time");
    came_after(start, HEADER)?;
    ensure!(bench.recorder.take().await?.seen.is_empty());
    bench.serves().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_stops() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    let (mut raw, start) = (bench.connect().await?, Instant::now());
    raw.send("GET / HTTP/1.1\r\nHo").await?;
    ensure!(raw.answer().await?.0.status() == 408);
    came_after(start, HEADER)?;
    bench.closed(&mut raw).await
}

/// Part of a next request is bounded by the time for a head, not by that between two requests, however it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_head_that_stops() -> Result<()> {
    let bench = Bench::start_with(&["--header-timeout-ms", "600", "--keep-alive-timeout-ms", "60000"]).await?;
    let part = "GET /next HTTP/1.1\r\nHo";
    for first in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ] {
        for in_one_packet in [true, false] {
            let (mut raw, mut start) = (bench.connect().await?, Instant::now());
            raw.send([first, if in_one_packet { part } else { "" }].concat()).await?;
            ensure!(raw.answer().await?.0.status() == 200);
            if !in_one_packet {
                start = Instant::now();
                raw.send(part).await?;
            }
            let status = raw.answer().await?.0.status();
            ensure!(status == 408, "{status}");
            came_after(start, HEADER)?;
            bench.closed(&mut raw).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    for framing in ["Content-Length: 5\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
        let (mut raw, start) = (bench.connect().await?, Instant::now());
        raw.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}")).await?;
        let status = raw.answer().await?.0.status();
        ensure!(status == 408, "{status}");
        came_after(start, CLIENT_IDLE)?;
        bench.closed(&mut raw).await?;
    }
    ensure!(bench.recorder.take().await?.seen.is_empty(), "half a body is no request");
    bench.serves().await
}

/// The time for an answer is the backend's: it does not run while the client's body stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stops_is_never_taken_for_a_backend_that_is_late() -> Result<()> {
    let bench = Bench::start_with(&["--response-timeout-ms", "300", "--client-idle-timeout-ms", "1000"]).await?;
    let (mut raw, start) = (bench.connect().await?, Instant::now());
    raw.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe").await?;
    let status = raw.answer().await?.0.status();
    ensure!(status == 408, "{status}");
    came_after(start, CLIENT_IDLE)?;
    let failures = bench.deployment.data_plane()?.metrics().await?.sum("balancer_backend_failures_total", "");
    ensure!(failures == 0.0, "{failures}");
    Ok(())
}

/// A backend that hangs up on clients that stop is not to be ejected for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_get_no_backend_ejected() -> Result<()> {
    let bench = Bench::start().await?;
    bench.recorder.reply_early("/impatient", "", Then::Close);
    for _ in 0..10 {
        let mut raw = bench.connect().await?;
        raw.send("POST /impatient HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await?;
        let status = raw.answer().await?.0.status();
        ensure!(status == 502, "{status}");
    }
    let metrics = bench.deployment.data_plane()?.metrics().await?;
    ensure!(metrics.sum("balancer_backend_ejected", "") == 0.0);
    ensure!(metrics.sum("balancer_backend_failures_total", "") == 0.0);
    bench.serves().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_waits_for_its_next_request() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    let mut raw = bench.connect().await?;
    bench.open(&mut raw).await?;
    let start = Instant::now();
    bench.closed(&mut raw).await?;
    came_after(start, KEEP_ALIVE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_does_not_answer() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    bench.recorder.reply("/silent", "", Then::Hold);
    bench.recorder.reply("/half", "HTTP/1.1 200 OK\r\nContent-Le", Then::Hold);
    for (target, method) in [("/silent", "GET"), ("/half", "POST")] {
        let (mut raw, start) = (bench.connect().await?, Instant::now());
        raw.send(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        ensure!(raw.answer().await?.0.status() == 504);
        came_after(start, RESPONSE)?;
        bench.open(&mut raw).await?;
    }
    let silent = bench.recorder.take().await?.seen.iter().filter(|seen| seen.target() == "/silent").count();
    ensure!(silent == 1, "it may have done what was asked: it is not asked again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_stops_is_cut_off() -> Result<()> {
    let bench = Bench::start_with(&FLAGS).await?;
    bench.recorder.reply("/stops", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Then::Hold);
    let (mut raw, start) = (bench.connect().await?, Instant::now());
    raw.send("GET /stops HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    let head = final_head(&mut raw).await?;
    ensure!(head.status() == 200);
    // Closed or reset, but not at the announced length.
    let body = raw.body(&head).await;
    ensure!(body.is_err(), "{body:?}");
    came_after(start, BACKEND_IDLE)
}

/// slowhttptest in small: slow heads, slow bodies, slow readers; others are served as if they were not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_do_not_hurt_others() -> Result<()> {
    // Many connections at once are much for the backend.
    let bench = Bench::start_with(&["--connect-timeout-ms", "10000"]).await?;
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 4 << 20, "x".repeat(4 << 20));
    bench.recorder.reply("/large", large, Then::Keep);
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut raw = bench.connect().await?;
        raw.send(match number % 3 {
            0 => "GET / HTTP/1.1\r\nHost: h\r\nX-",
            1 => "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nx",
            _ => "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
        })
        .await?;
        slow.push(raw);
    }
    let start = Instant::now();
    for _ in 0..100 {
        bench.serves().await?;
    }
    let took = start.elapsed();
    println!("100 requests beside 300 slow clients: {took:?}");
    ensure!(took < Duration::from_secs(10), "{took:?}");
    Ok(())
}
