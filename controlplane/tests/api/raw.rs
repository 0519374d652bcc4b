//! HTTP/1.1 by hand, so that a test says exactly what is sent.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::within;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// The member `errors` of a problem, after checking that it is one through and through.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], self.status);
        assert!(json["title"].as_str().is_some_and(|t| !t.is_empty()));
        assert_eq!(json["detail"], json["errors"]);
        json["errors"].as_str().unwrap().to_owned()
    }
}

/// Sends `head` (without its end) and `body` with a content length, and reads the whole answer.
pub(crate) async fn send(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{head}\r\nHost: x\r\nConnection: close\r\n{length}\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    parse(&within(exchange).await)
}

/// A request with a JSON body and no content type.
pub(crate) async fn json(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    send(address, &format!("{method} {path} HTTP/1.1"), body.as_bytes()).await
}

/// A request without a body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    json(address, "GET", path, "").await
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    assert!(!chunked, "these tests read plain bodies only");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
