//! Backends that close connections: nothing is lost that can be sent again, nothing is sent twice that must not be.

use anyhow::{Result, ensure};

use crate::{bench::Bench, recorder::Then};

const GETS: usize = 1000;

/// The backend closes after each answer without having said so: every kept connection is stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_gets_onto_closing_connections_none_is_lost() -> Result<()> {
    let bench = Bench::start().await?;
    bench.recorder.close_after_answers(true);
    let mut raw = bench.connect().await?;
    for number in 0..GETS {
        raw.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")).await?;
        let (head, body) = raw.answer().await?;
        ensure!(head.status() == 200 && body == "ok", "{number}: {head:?} {body}");
    }
    Ok(())
}

/// A POST onto a connection that just closes may fail, and must not be done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_never_sent_twice() -> Result<()> {
    let bench = Bench::start().await?;
    bench.recorder.close_after_answers(true);
    bench.recorder.reply("/lost", "", Then::Close);
    let mut raw = bench.connect().await?;
    let mut failed = 0;
    for number in 0..200 {
        let target = if number % 2 == 0 { format!("/{number}") } else { format!("/lost?{number}") };
        raw.send(format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")).await?;
        let status = raw.answer().await?.0.status();
        ensure!(matches!(status, 200 | 502), "{target}: {status}");
        failed += usize::from(number % 2 == 0 && status == 502);
    }
    let record = bench.recorder.take().await?;
    let mut targets: Vec<_> = record.seen.iter().map(|seen| seen.target()).collect();
    let whole = targets.len();
    targets.sort_unstable();
    targets.dedup();
    println!("{failed} of 100 POSTs met a connection that closed");
    ensure!(targets.len() == whole, "{} requests were sent twice", whole - targets.len());
    Ok(())
}

/// No answer at all: a GET is tried again within bounds, then the client is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_never_answered_is_not_sent_for_ever() -> Result<()> {
    let bench = Bench::start().await?;
    bench.recorder.reply("/lost", "", Then::Close);
    let mut raw = bench.connect().await?;
    raw.send("GET /lost HTTP/1.1\r\nHost: h\r\n\r\n").await?;
    ensure!(raw.answer().await?.0.status() == 502);
    let tries = bench.recorder.take().await?.seen.len();
    ensure!((1..=4).contains(&tries), "{tries} tries");
    bench.open(&mut raw).await
}
