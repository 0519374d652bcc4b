//! Floods of HTTP/2 frames, bombs, and clients that give no window: bounded in memory, processor time and log, and others are
//! served meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    bench::Bench,
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, field, frame, get, request,
    },
    http2::{Outcome, outcome},
    recorder::Then,
};

/// How long others may wait beside a flood, on a machine where client, proxy and backend share the processors.
const PATIENCE: Duration = Duration::from_secs(5);

/// Processor time of the proxy that a flood may cost, in a build without optimization.
const MOST_CPU_MS: u64 = 3000;

/// What the proxy may log beside a flood: of itself, not of each frame.
const MOST_LOG_LINES: usize = 20;

/// A flood: what is sent first, and then again and again.
struct Flood {
    name: &'static str,
    first: Vec<u8>,
    /// The unit with this number.
    unit: fn(u32) -> Vec<u8>,
    units: u32,
    /// Whether the server must end it.
    ends: bool,
}

fn floods() -> Vec<Flood> {
    let flood = |name, first, unit, units, ends| Flood { name, first, unit, units, ends };
    vec![
        flood(
            "rapid reset",
            vec![],
            |n| [request(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, [0, 0, 0, 8])].concat(),
            100_000,
            true,
        ),
        flood(
            "MadeYouReset",
            vec![],
            |n| [request(2 * n + 1), frame(WINDOW_UPDATE, 0, 2 * n + 1, [0; 4])].concat(),
            100_000,
            true,
        ),
        flood(
            "CONTINUATION",
            frame(HEADERS, 0, 1, get()),
            |n| frame(CONTINUATION, 0, 1, field(&format!("x-{n}"), "y")),
            500_000,
            true,
        ),
        flood("empty CONTINUATION", frame(HEADERS, 0, 1, get()), |_| frame(CONTINUATION, 0, 1, ""), 500_000, true),
        flood("PING", vec![], |_| frame(PING, 0, 0, [0; 8]), 500_000, false),
        flood("answers to no PING", vec![], |_| frame(PING, ACK, 0, [0; 8]), 500_000, false),
        flood("WebSockets with a length", vec![], websocket_with_length, 100_000, false),
        flood("SETTINGS", vec![], |_| frame(SETTINGS, 0, 0, ""), 500_000, false),
        flood(
            "SETTINGS with windows",
            vec![],
            |n| frame(SETTINGS, 0, 0, [[0, 4].as_slice(), &(n % 65_536).to_be_bytes()].concat()),
            500_000,
            false,
        ),
        flood("empty DATA", frame(HEADERS, END_HEADERS, 1, get()), |_| frame(DATA, 0, 1, ""), 500_000, false),
        flood("PRIORITY", vec![], |n| frame(PRIORITY, 0, 2 * (n % 1000) + 1, [0, 0, 0, 0, 1]), 500_000, false),
        flood("WINDOW_UPDATE", vec![], |_| frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]), 500_000, false),
        flood("unknown frames", vec![], |_| frame(0xfa, 0, 0, [0; 100]), 200_000, false),
        flood("requests without an end", vec![], |n| frame(HEADERS, END_HEADERS, 2 * n + 1, get()), 100_000, false),
    ]
}

/// A request that the library refuses and complains of.
fn websocket_with_length(n: u32) -> Vec<u8> {
    let pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/ws")];
    let fields = pseudo.into_iter().chain([(":authority", "h"), ("content-length", "5")]);
    let block: Vec<u8> = fields.flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, END_HEADERS, 2 * n + 1, block)
}

impl Flood {
    /// Sends it all, or until the server ends it; whether it did.
    async fn play(&self, bench: &Bench) -> Result<bool> {
        let http2 = bench.connect_http2().await?;
        let (mut from, mut to) = tokio::io::split(http2.0);
        let reader = tokio::spawn(async move {
            let mut part = vec![0; 64 << 10];
            while from.read(&mut part).await.is_ok_and(|read| read > 0) {}
        });
        let mut ended = to.write_all(&self.first).await.is_err();
        for start in (0..self.units).step_by(1000).take_while(|_| !reader.is_finished()) {
            let part: Vec<u8> = (start..(start + 1000).min(self.units)).flat_map(self.unit).collect();
            ended = tokio::time::timeout(Duration::from_secs(10), to.write_all(&part)).await?.is_err();
            if ended {
                break;
            }
        }
        ended |= reader.is_finished();
        reader.abort();
        Ok(ended)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_bounded() -> Result<()> {
    let bench = Bench::start().await?;
    bench.serves().await?;
    let before = bench.resident_bytes()?;
    let mut complaints = Vec::new();
    for flood in floods() {
        let (ticks, lines, start) = (bench.cpu_ticks()?, bench.log_lines()?, Instant::now());
        let playing = flood.play(&bench);
        let mut slowest = Duration::ZERO;
        let others = async {
            loop {
                let start = Instant::now();
                bench.serves().await?;
                slowest = slowest.max(start.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::select! {
            ended = playing => ended.with_context(|| flood.name),
            Err::<(), anyhow::Error>(error) = others => Err(error.context("others are not served")),
        };
        let record = bench.recorder.take().await?;
        let forwarded = record.seen.iter().filter(|seen| seen.target() != "/probe").count();
        let (cpu, took) = ((bench.cpu_ticks()? - ticks) * 10, start.elapsed());
        let (resident, said) = (bench.resident_bytes()?, bench.log_lines()? - lines);
        println!(
            "{}: ended by the server: {ended:?}, {took:?}, {cpu} ms of CPU, slowest other request {slowest:?}, {forwarded} forwarded, {} KiB resident",
            flood.name,
            resident >> 10
        );
        match ended {
            Err(error) => complaints.push(format!("{}: {error:#}", flood.name)),
            Ok(ended) if flood.ends && !ended => complaints.push(format!("{}: goes on", flood.name)),
            Ok(_) if slowest > PATIENCE => complaints.push(format!("{}: others wait {slowest:?}", flood.name)),
            Ok(_) if cpu > MOST_CPU_MS => complaints.push(format!("{}: {cpu} ms of CPU", flood.name)),
            Ok(_) if resident > before + (16 << 20) => complaints.push(format!("{}: {resident} bytes", flood.name)),
            Ok(_) if said > MOST_LOG_LINES => complaints.push(format!("{}: {said} lines in the log", flood.name)),
            Ok(_) if !record.violations.is_empty() => {
                complaints.push(format!("{}: {:?}", flood.name, record.violations))
            }
            Ok(_) => {}
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    bench.serves().await
}

/// A small block that stands for a large list of fields (HPACK bomb).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_bomb_does_not_go_off() -> Result<()> {
    let bench = Bench::start().await?;
    let (before, ticks) = (bench.resident_bytes()?, bench.cpu_ticks()?);
    let large = "x".repeat(4000);
    // A field of 4,000 bytes enters the table as its first entry, index 62; each further byte stands for all of it.
    let length = [0x7f, 0xa1, 0x1e];
    let entry = [b"\x40\x01b".as_slice(), &length, large.as_bytes()].concat();
    let bomb = [get(), entry, vec![0xbe; 10_000]].concat();
    for _ in 0..20 {
        let mut http2 = bench.connect_http2().await?;
        http2.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await?;
        let found = outcome(&mut http2).await?;
        ensure!(found != Outcome::Served, "{found:?}");
    }
    let grown = bench.resident_bytes()?.saturating_sub(before);
    ensure!(grown < 16 << 20, "grown by {grown} bytes");
    let cpu = (bench.cpu_ticks()? - ticks) * 10;
    ensure!(cpu < MOST_CPU_MS, "{cpu} ms of CPU");
    ensure!(bench.recorder.take().await?.seen.is_empty());
    bench.serves().await
}

/// A client that opens streams and reads nothing of the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_no_window_costs_little() -> Result<()> {
    // Many connections at once are much for the backend.
    let bench = Bench::start_with(&["--connect-timeout-ms", "10000"]).await?;
    let body = "x".repeat(1 << 20);
    bench.recorder.reply("/", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()), Then::Keep);
    let before = bench.resident_bytes()?;
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(bench.proxy).await?;
        let no_window = frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
        let requests: Vec<u8> = (0..50).flat_map(|n| request(2 * n + 1)).collect();
        stream.write_all(&[PREFACE, &no_window, &requests].concat()).await?;
        connections.push(stream);
    }
    for _ in 0..20 {
        bench.serves().await?;
    }
    let grown = bench.peak_bytes()?.saturating_sub(before);
    println!("200 streams without a window: {} KiB more", grown >> 10);
    // hyper may buffer 64 KiB for each stream.
    ensure!(grown < 32 << 20, "grown by {grown} bytes");
    Ok(())
}
