//! HTTP/2 by the published list of conformance checks that h2spec plays (`generic` 1 to 5, `http2` 3.5 to 8.2, `hpack`
//! 2 to 6): each case by its section, with the outcomes that pass there. As there, a connection that is closed after a
//! GOAWAY with another code passes; here only if that is PROTOCOL_ERROR, and they are counted.

mod begin;
mod frames;
mod hpack;
mod messages;
mod streams;
mod windows;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    bench::Bench,
    frames::{
        ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, PING, RST_STREAM, SETTINGS, field, frame,
    },
    recorder::Then,
};

/// Error codes (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// What a PING of these tests holds.
const SESAME: &[u8; 8] = b"sesame12";

/// Long enough for every window that is played with.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world";

/// What the client does.
enum Step {
    Send(Vec<u8>),
    /// Waits for SETTINGS to be acknowledged.
    Acknowledged,
    /// Waits for DATA of so many bytes.
    Data(usize),
    /// Waits for the end of an answer.
    Answered,
}

/// What passes.
#[derive(Clone, Copy, Debug)]
enum Pass {
    /// The connection is closed.
    Closed,
    /// GOAWAY with one of these codes.
    Goaway(&'static [u32]),
    /// RST_STREAM with one of these codes.
    Reset(&'static [u32]),
    /// GOAWAY with one of these codes, or the connection is closed.
    Connection(&'static [u32]),
    /// RST_STREAM or GOAWAY with one of these codes, or the connection is closed.
    Stream(&'static [u32]),
    /// The head of an answer to stream 1.
    Headers,
    /// DATA of so many bytes.
    Data(usize),
    /// The answer to the PING of these tests, and to no other.
    Pong,
    /// The same, or the connection is closed.
    PongOrClosed,
    /// Nothing more than what was waited for.
    Reached,
}

/// One case.
struct Check {
    /// Section of the list, and what is done.
    name: &'static str,
    steps: Vec<Step>,
    pass: Pass,
}

fn check(name: &'static str, bytes: Vec<u8>, pass: Pass) -> Check {
    steps(name, vec![Step::Send(bytes)], pass)
}

fn steps(name: &'static str, steps: Vec<Step>, pass: Pass) -> Check {
    Check { name, steps, pass }
}

/// The four pseudo fields, in the list's order.
fn head(method: &str) -> Vec<u8> {
    [field(":method", method), field(":scheme", "http"), field(":path", "/"), field(":authority", "h")].concat()
}

/// HEADERS that end their request.
fn get(stream: u32) -> Vec<u8> {
    frame_of(stream, &[&head("GET")])
}

/// HEADERS of these blocks, which end their request.
fn frame_of(stream: u32, blocks: &[&[u8]]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, blocks.concat())
}

/// HEADERS that a body follows.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, head("POST"))
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, SESAME)
}

fn setting(id: u8, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, [&[0, id], &value.to_be_bytes()[..]].concat())
}

fn dummies(count: usize) -> Vec<u8> {
    // Literals, as long as one may be here.
    (0..count).flat_map(|_| field("x-dummy", &"x".repeat(100))).collect()
}

fn join<const N: usize>(parts: [Vec<u8>; N]) -> Vec<u8> {
    parts.concat()
}

impl Check {
    async fn play(&self, bench: &Bench) -> Result<Passed> {
        let mut http2 = bench.connect_http2().await?;
        shake_hands(&mut http2).await?;
        for step in &self.steps {
            match step {
                Step::Send(bytes) => http2.offer(bytes).await,
                Step::Acknowledged => {
                    wait_for(&mut http2, |frame| (frame.kind, frame.flags) == (SETTINGS, ACK)).await?
                }
                Step::Data(length) => {
                    wait_for(&mut http2, |frame| (frame.kind, frame.payload.len()) == (DATA, *length)).await?;
                }
                Step::Answered => wait_for(&mut http2, ends).await?,
            }
        }
        self.pass.judge(&mut http2).await
    }
}

/// Both sides' SETTINGS are there and acknowledged.
async fn shake_hands(http2: &mut Http2) -> Result<()> {
    let first = http2.next().await?.context("no SETTINGS")?;
    ensure!((first.kind, first.flags, first.stream) == (SETTINGS, 0, 0), "not SETTINGS first: {first:?}");
    http2.send(frame(SETTINGS, ACK, 0, "")).await?;
    wait_for(http2, |frame| (frame.kind, frame.flags) == (SETTINGS, ACK)).await
}

async fn wait_for(http2: &mut Http2, mut is_it: impl FnMut(&Frame) -> bool) -> Result<()> {
    while let Some(frame) = http2.next().await? {
        if is_it(&frame) {
            return Ok(());
        }
        ensure!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
    }
    bail!("the connection is closed too early")
}

fn ends(frame: &Frame) -> bool {
    matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0
}

/// How a check was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    AsListed,
    /// The connection was closed for PROTOCOL_ERROR, where the list has a more precise code.
    LessPrecisely,
}

impl Pass {
    async fn judge(self, http2: &mut Http2) -> Result<Passed> {
        let mut passed = Passed::AsListed;
        if matches!(self, Self::Reached) {
            return Ok(passed);
        }
        while let Some(frame) = http2.next().await? {
            if self.takes(&frame)? {
                return Ok(passed);
            }
            if frame.kind == GOAWAY && matches!(self, Self::Connection(_) | Self::Stream(_)) {
                passed = Passed::LessPrecisely;
            }
        }
        let may_close = matches!(self, Self::Closed | Self::Connection(_) | Self::Stream(_) | Self::PongOrClosed);
        ensure!(may_close, "the connection is closed");
        Ok(passed)
    }

    /// Whether the frame is what was to come; an error if it is what must not.
    fn takes(self, frame: &Frame) -> Result<bool> {
        Ok(match (self, frame.kind) {
            (Self::Closed | Self::PongOrClosed, GOAWAY | RST_STREAM) => false,
            (Self::Goaway(codes) | Self::Connection(codes) | Self::Stream(codes), GOAWAY)
            | (Self::Reset(codes) | Self::Stream(codes), RST_STREAM) => {
                let code = code(frame);
                let waits = frame.kind == GOAWAY && code == PROTOCOL_ERROR && !matches!(self, Self::Goaway(_));
                ensure!(codes.contains(&code) || waits, "{frame:?}");
                codes.contains(&code)
            }
            (_, GOAWAY | RST_STREAM) => bail!("{frame:?}"),
            (Self::Headers, HEADERS) => frame.stream == 1,
            (Self::Data(length), DATA) => {
                ensure!(frame.payload.len() == length, "{frame:?}");
                true
            }
            (Self::Pong | Self::PongOrClosed, PING) => {
                ensure!((frame.flags, frame.payload.as_slice()) == (ACK, SESAME), "{frame:?}");
                true
            }
            _ => false,
        })
    }
}

/// The error code of GOAWAY or RST_STREAM.
fn code(frame: &Frame) -> u32 {
    frame
        .payload
        .iter()
        .skip(if frame.kind == GOAWAY { 4 } else { 0 })
        .take(4)
        .fold(0, |code, byte| code << 8 | u32::from(*byte))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_list_of_checks() -> Result<()> {
    for bench in Bench::both().await? {
        bench.recorder.reply("/", ANSWER, Then::Keep);
        let (mut complaints, mut less_precisely) = (Vec::new(), 0);
        let listed = [begin::checks(), frames::checks(), streams::checks(), windows::checks(), messages::checks()];
        let checks: Vec<_> = listed.into_iter().flatten().chain(hpack::checks()).collect();
        for check in &checks {
            match check.play(&bench).await {
                Ok(passed) => less_precisely += usize::from(passed == Passed::LessPrecisely),
                Err(error) => complaints.push(format!("{}: {error:#}", check.name)),
            }
            let violations = bench.recorder.take().await?.violations;
            ensure!(violations.is_empty(), "{}: {violations:?}", check.name);
        }
        let played = checks.len() + begin::prefaces(&bench).await?;
        println!("{played} checks of the list over {}, {less_precisely} by PROTOCOL_ERROR", bench.scheme());
        ensure!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
        bench.serves().await?;
    }
    Ok(())
}
