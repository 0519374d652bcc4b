//! Input that nobody thought of: valid messages, changed at random. Whatever comes in, the proxy lives, answers or
//! closes, and a backend sees valid requests only.

use std::{
    env,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::wait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    bench::Bench,
    frames::{
        DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, field, frame, get, request, request_with,
    },
};

/// How long, unless `CONFORMANCE_MUTATION_SECS` says otherwise.
const SECONDS: u64 = 60;
const CONNECTIONS: u64 = 8;
/// A connection without an end after this hangs: well above the time-outs set below.
const HUNG: Duration = Duration::from_secs(15);

/// Messages to begin with.
const SEEDS: [&str; 10] = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a%2Fb?c=d HTTP/1.1\r\nHost: example.com:80\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HEAD http://h/x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nMax-Forwards: 0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\u{2}",
];

/// Pieces that have broken parsers before.
const PIECES: [&[u8]; 28] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"-1",
    b"+5",
    b"0x5",
    b"ffffffffffffffff",
    b"\x80\xff",
    b"Host: x\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5,5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Expect: y\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b" folded\r\n",
    b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1",
];

/// Now and then HTTP/2, else HTTP/1.
fn mutated(random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(0..4) == 0 { mutated_http2(random) } else { mutated_http1(random) }
}

/// Some frames with up to eight changes, behind a preface that is left alone.
fn mutated_http2(random: &mut fastrand::Rng) -> Vec<u8> {
    let post = frame(HEADERS, END_HEADERS, 3, [get(), field("content-length", "2")].concat());
    let mut bytes =
        [frame(SETTINGS, 0, 0, [0, 4, 0, 0, 255, 255]), request(1), post, frame(DATA, END_STREAM, 3, "hi")].concat();
    bytes.extend(request_with(5, &[("cookie", "a=1"), ("te", "trailers"), ("x-forwarded-for", "1.2.3.4")]));
    bytes.extend(frame(PING, 0, 0, [0; 8]));
    for _ in 0..random.usize(0..=8) {
        change(&mut bytes, random);
    }
    [PREFACE, &bytes].concat()
}

/// One to three seeds in a row, with up to eight changes.
fn mutated_http1(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..random.usize(1..=3) {
        bytes.extend(random.choice(SEEDS).unwrap_or_default().as_bytes());
    }
    for _ in 0..random.usize(0..=8) {
        change(&mut bytes, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let at = random.usize(0..=bytes.len());
    let end = (at + random.usize(0..=12)).min(bytes.len());
    match random.u8(0..6) {
        0 if at < bytes.len() => bytes[at] = random.u8(..),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at.max(1)),
        _ => drop(bytes.splice(at..at, random.choice(PIECES).unwrap_or_default().iter().copied())),
    }
}

/// Sends bytes in pieces and reads to the end of the connection; whether it ended in time.
async fn play(proxy: SocketAddr, bytes: &[u8], random: &mut fastrand::Rng) -> bool {
    let exchange = async {
        let Ok(mut stream) = TcpStream::connect(proxy).await else { return };
        let pieces = bytes.chunks(random.usize(1..=bytes.len().max(1)));
        for piece in pieces {
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        if random.bool() {
            // Half of the clients just leave.
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    tokio::time::timeout(HUNG, exchange).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_input_breaks_nothing() -> Result<()> {
    let seconds = env::var("CONFORMANCE_MUTATION_SECS").map_or(Ok(SECONDS), |text| text.parse());
    let end = Instant::now() + Duration::from_secs(seconds.context("CONFORMANCE_MUTATION_SECS is a number")?);
    let seed = env::var("CONFORMANCE_SEED").map_or_else(|_| Ok(fastrand::u64(..)), |text| text.parse());
    let seed = seed.context("CONFORMANCE_SEED is a number")?;
    println!("CONFORMANCE_SEED={seed}");
    let bench = Bench::start_with(&[
        "--header-timeout-ms",
        "2000",
        "--client-idle-timeout-ms",
        "2000",
        "--keep-alive-timeout-ms",
        "2000",
    ])
    .await?;
    bench.serves().await?;
    let before = bench.descriptors()?;
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let proxy = bench.proxy;
        clients.spawn(async move {
            let (mut random, mut inputs, mut hung) = (fastrand::Rng::with_seed(seed ^ number), 0u64, Vec::new());
            while Instant::now() < end {
                let bytes = mutated(&mut random);
                inputs += 1;
                if !play(proxy, &bytes, &mut random).await {
                    hung.push(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
            (inputs, hung)
        });
    }
    let results = clients.join_all().await;
    println!("{} inputs", results.iter().map(|(inputs, _)| inputs).sum::<u64>());
    let hung: Vec<_> = results.into_iter().flat_map(|(_, hung)| hung).collect();
    ensure!(hung.is_empty(), "{} connections hung: {hung:?}", hung.len());
    bench.serves().await?;
    let record = bench.recorder.take().await?;
    ensure!(record.violations.is_empty(), "{:?}", record.violations);
    println!("{} whole requests at the backend, {} cut off", record.seen.len(), record.cut.len());
    // Idle connections to the backend may have come; none of a client's may be left.
    let gone = format!("{before} file descriptors and a few");
    wait::until_true(&gone, async || bench.descriptors().is_ok_and(|now| now <= before + 2 * CONNECTIONS as usize))
        .await?;
    Ok(())
}
