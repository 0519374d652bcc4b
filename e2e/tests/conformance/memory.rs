//! Memory stays flat whatever streams through, and whoever does not read.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use anyhow::{Context, Result, ensure};
use e2e::{Backend, Database, Setup, http, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    task::JoinSet,
};

use crate::bench::Bench;

const MIB: usize = 1 << 20;
const BODY: usize = 256 * MIB;
const MAX_GROWTH: usize = 24 * MIB;
const SLOW_READERS: usize = 20;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A backend that sends [`BODY`] bytes: to POST those that come in, as they come.
struct Duplex {
    address: SocketAddr,
    /// Bytes of bodies written so far.
    sent: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Duplex {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, sent) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
        let mut accepting = JoinSet::new();
        let counter = sent.clone();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // A client that leaves ends it; that is no fault.
                let counter = counter.clone();
                connections.spawn(async move { drop(serve(stream, &counter).await) });
            }
        });
        Ok(Self { address, sent, _accepting: accepting })
    }
}

async fn serve(stream: TcpStream, sent: &AtomicUsize) -> Result<()> {
    let (mut from, mut to) = stream.into_split();
    let (head, early) = head(&mut from).await?;
    if head.starts_with("GET /health ") {
        return Ok(to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?);
    }
    to.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").as_bytes()).await?;
    let mut part = vec![b'd'; 64 << 10];
    to.write_all(&part[..early]).await?;
    let mut left = BODY - early;
    while left > 0 {
        let length = match head.starts_with("POST ") {
            true => from.read(&mut part).await?,
            false => part.len().min(left),
        };
        ensure!(length > 0, "the body ends early");
        to.write_all(&part[..length]).await?;
        sent.fetch_add(length, SeqCst);
        left -= length;
    }
    Ok(())
}

/// The head, and how many bytes were read beyond it.
async fn head(from: &mut OwnedReadHalf) -> Result<(String, usize)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == HEAD_END) {
            return Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.len() - end - 4));
        }
        ensure!(from.read_buf(&mut bytes).await? > 0, "closed in a head");
    }
}

/// Reads to the end of the connection and says how much it was.
async fn discard(from: &mut OwnedReadHalf) -> Result<usize> {
    let (mut total, mut part) = (0, vec![0; 64 << 10]);
    loop {
        match from.read(&mut part).await? {
            0 => return Ok(total),
            read => total += read,
        }
    }
}

async fn bench_over_http2() -> Result<(Bench, Backend)> {
    let backend = Backend::start_h2c().await?;
    let bench = Bench::in_front_of(Setup::new(Database::sqlite()?), backend.url()).await?;
    Ok((bench, backend))
}

async fn bench() -> Result<(Bench, Duplex)> {
    let duplex = Duplex::start().await?;
    let bench = Bench::in_front_of(Setup::new(Database::sqlite()?), format!("http://{}", duplex.address)).await?;
    Ok((bench, duplex))
}

/// The most memory the data plane has had, over what it has now.
fn report(bench: &Bench, before: usize) -> Result<()> {
    let peak = bench.peak_bytes()?;
    println!("resident before: {} KiB, at most: {} KiB", before >> 10, peak >> 10);
    ensure!(peak < before + MAX_GROWTH, "grown from {before} to {peak} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once() -> Result<()> {
    let (bench, _duplex) = bench().await?;
    both_directions(&bench).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once_over_http2() -> Result<()> {
    let (bench, _backend) = bench_over_http2().await?;
    both_directions(&bench).await
}

/// Up and down through a backend that sends back what it is sent.
async fn both_directions(bench: &Bench) -> Result<()> {
    let before = bench.resident_bytes()?;
    let (mut from, mut to) = TcpStream::connect(bench.proxy).await?.into_split();
    let head_bytes = format!("POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {BODY}\r\n\r\n");
    to.write_all(head_bytes.as_bytes()).await?;
    let up = tokio::spawn(async move {
        let part = vec![b'u'; 64 << 10];
        for _ in 0..BODY / part.len() {
            to.write_all(&part).await?;
        }
        anyhow::Ok(to)
    });
    let (answer, early) = head(&mut from).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let down = discard(&mut from).await.context("down")? + early;
    // Without a length they came in chunks.
    ensure!((BODY..BODY + MIB).contains(&down), "{down} of {BODY} bytes came down");
    up.await?.context("up")?;
    report(bench, before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read() -> Result<()> {
    let (bench, duplex) = bench().await?;
    let before = bench.resident_bytes()?;
    let mut slow = Vec::new();
    for _ in 0..SLOW_READERS {
        let mut stream = TcpStream::connect(bench.proxy).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await?;
        slow.push(stream);
    }
    let mut last = usize::MAX;
    let stalled = async || {
        let at_start = duplex.sent.load(SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        last = duplex.sent.load(SeqCst);
        last == at_start && last > 0
    };
    wait::until_true("everything to stand still", stalled).await?;
    println!("{SLOW_READERS} readers that do not read let {} KiB leave the backend", last >> 10);
    ensure!(last < SLOW_READERS * 16 * MIB, "the backend is not held back");
    report(&bench, before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_hold_up_nobody_on_their_connection() -> Result<()> {
    let (bench, _backend) = bench_over_http2().await?;
    let before = bench.resident_bytes()?;
    let mut slow = Vec::new();
    for _ in 0..SLOW_READERS {
        let mut stream = TcpStream::connect(bench.proxy).await?;
        stream.write_all(format!("GET /bytes/{BODY} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await?;
        let (mut from, to) = stream.into_split();
        head(&mut from).await?;
        slow.push((from, to));
    }
    // Each waits behind whatever the others of its thread let their backend send.
    for _ in 0..20 {
        let answer = http::get(bench.proxy, "/bytes/1000000").await?;
        ensure!(answer.body.len() == 1_000_000, "{} bytes", answer.body.len());
    }
    report(&bench, before)
}
