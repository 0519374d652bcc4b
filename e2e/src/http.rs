//! Requests and answers as programs see them; each request on its own connection.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::wait;

/// One end of a connection that requests can be sent on.
pub type Sender = http1::SendRequest<Full<Bytes>>;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {:?}", self.text()))
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts that this is a problem (RFC 9457) with `status`, and returns its sentence.
    ///
    /// # Errors
    /// When the body is not JSON.
    pub fn problem(&self, status: StatusCode) -> Result<String> {
        assert_eq!(self.status, status.as_u16(), "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json()?;
        assert_eq!(problem["status"], status.as_u16(), "{problem}");
        let sentence = problem["errors"].as_str().context("`errors` is a sentence")?;
        assert!(!sentence.is_empty() && problem["title"].is_string() && problem["type"].is_string(), "{problem}");
        Ok(sentence.into())
    }
}

/// `GET target`.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn get(address: SocketAddr, target: &str) -> Result<Answer> {
    send(address, "GET", target, &[], "").await
}

/// Sends a request and reads the whole answer. Without a body it has no `Content-Length`.
///
/// # Errors
/// When there is no whole answer in time.
pub async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer> {
    let mut builder = Request::builder().method(method).uri(target).header("host", address.to_string());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let request = builder.body(Full::new(body.into()))?;
    let exchange = async { whole(connect(address).await?.send_request(request).await?).await };
    let what = format!("{method} {target}");
    // Slower than the slowest time-out of the programs.
    tokio::time::timeout(Duration::from_secs(60), exchange).await.with_context(|| what.clone())?.context(what)
}

/// Opens a connection that ends when the sender is dropped.
///
/// # Errors
/// When it cannot be opened.
pub async fn connect(address: SocketAddr) -> Result<Sender> {
    connect_stream(TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?).await
}

/// As [`connect`], on a socket that is there already.
///
/// # Errors
/// When HTTP cannot begin on it.
pub async fn connect_stream(stream: TcpStream) -> Result<Sender> {
    stream.set_nodelay(true)?;
    let (sender, connection) = wait::bounded("handshake", http1::handshake(TokioIo::new(stream))).await??;
    // What goes wrong on the connection, the request that suffers reports.
    tokio::spawn(connection);
    Ok(sender)
}

/// Reads an answer to its end.
///
/// # Errors
/// When it is cut off.
pub async fn whole(response: Response<Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("the answer is cut off")?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}
