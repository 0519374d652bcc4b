//! One request, one answer: chosen by path.

use std::{io, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body::{AnyBody, filler, full, ticks},
    describe::describe,
    problem::BadPath,
    upgrade::upgrade,
};

const MAX_DELAY_MS: u64 = 60_000;
const DEFAULT_PAUSE_MS: u64 = 100;

/// Answers requests in the name of one backend.
pub(crate) struct Answerer {
    name: String,
    tunnels: TaskTracker,
    shutdown: CancellationToken,
}

/// What a path asks for.
enum Wish {
    Describe,
    Health,
    Status(StatusCode),
    Delay(Duration),
    Bytes(u64),
    Stream { count: u32, pause: Duration },
    Echo,
    Upgrade,
    Abort,
}

impl Answerer {
    pub(crate) fn new(name: String, tunnels: TaskTracker, shutdown: CancellationToken) -> Self {
        Self { name, tunnels, shutdown }
    }

    /// Answers; an error makes the server close the connection without an answer.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<AnyBody>> {
        let mut response = match Wish::of(request.uri().path()) {
            Ok(wish) => self.grant(wish, request).await?,
            Err(bad) => text(StatusCode::BAD_REQUEST, format!("{bad}\n")),
        };
        if let Ok(name) = HeaderValue::from_str(&self.name) {
            response.headers_mut().insert("x-backend", name);
        }
        Ok(response)
    }

    async fn grant(&self, wish: Wish, request: Request<Incoming>) -> io::Result<Response<AnyBody>> {
        Ok(match wish {
            Wish::Describe => self.describe(request).await?,
            Wish::Health => text(StatusCode::OK, "ok\n".into()),
            Wish::Status(code) => text(code, format!("{code}\n")),
            Wish::Delay(delay) => {
                tokio::time::sleep(delay).await;
                self.describe(request).await?
            }
            Wish::Bytes(len) => octets(filler(len)),
            Wish::Stream { count, pause } => octets(ticks(count, pause)),
            Wish::Echo => echo(request),
            Wish::Upgrade => upgrade(request, &self.tunnels, &self.shutdown),
            Wish::Abort => return Err(io::Error::other("asked to abort")),
        })
    }

    async fn describe(&self, request: Request<Incoming>) -> io::Result<Response<AnyBody>> {
        let (head, body) = request.into_parts();
        let description = describe(&self.name, &head, body).await.map_err(io::Error::other)?;
        Ok(with_type(full(format!("{description:#}\n")), HeaderValue::from_static("application/json")))
    }
}

impl Wish {
    fn of(path: &str) -> Result<Self, BadPath> {
        let mut parts = path.split('/').skip(1);
        Ok(match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("health"), None, ..) => Self::Health,
            (Some("status"), Some(code), None, _) => Self::Status(status(code)?),
            (Some("delay"), Some(ms), None, _) => Self::Delay(delay(ms)?),
            (Some("bytes"), Some(len), None, _) => Self::Bytes(number(len, "a number of bytes")?),
            (Some("stream"), Some(count), pause, None) => Self::Stream {
                count: number(count, "a number of chunks")?,
                pause: pause.map_or(Ok(Duration::from_millis(DEFAULT_PAUSE_MS)), delay)?,
            },
            (Some("echo"), None, ..) => Self::Echo,
            (Some("upgrade"), None, ..) => Self::Upgrade,
            (Some("abort"), None, ..) => Self::Abort,
            _ => Self::Describe,
        })
    }
}

fn number<T: std::str::FromStr>(argument: &str, expected: &str) -> Result<T, BadPath> {
    argument.parse().map_err(|_| BadPath::new(argument, expected))
}

fn status(argument: &str) -> Result<StatusCode, BadPath> {
    let fault = || BadPath::new(argument, "a status code from 200 to 599");
    let code: u16 = argument.parse().map_err(|_| fault())?;
    StatusCode::from_u16(code).ok().filter(|_| (200..600).contains(&code)).ok_or_else(fault)
}

fn delay(argument: &str) -> Result<Duration, BadPath> {
    let ms = number(argument, "milliseconds")?;
    match ms {
        0..=MAX_DELAY_MS => Ok(Duration::from_millis(ms)),
        _ => Err(BadPath::new(argument, "at most 60000 milliseconds")),
    }
}

/// Sends the body back as it comes: a client that stops reading stops this server's reading.
fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = request.into_body().map_err(io::Error::other).boxed_unsync();
    with_type(body, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")))
}

fn text(status: StatusCode, content: String) -> Response<AnyBody> {
    let mut response = with_type(full(content), HeaderValue::from_static("text/plain; charset=utf-8"));
    *response.status_mut() = status;
    response
}

fn octets(body: AnyBody) -> Response<AnyBody> {
    with_type(body, HeaderValue::from_static("application/octet-stream"))
}

fn with_type(body: AnyBody, content_type: HeaderValue) -> Response<AnyBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
