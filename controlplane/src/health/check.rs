//! One check: a request on a connection of its own, so that nothing but the backend's answer is judged.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::domain::{BackendSpec, HealthCheck};

/// What one check found.
pub(super) struct Outcome {
    pub(super) success: bool,
    /// One sentence for people.
    pub(super) reason: String,
}

/// Why there is no answer.
enum Fault {
    /// The backend's, in a sentence.
    Backend(String),
    /// We have no file descriptor to ask with.
    Ours(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let exhausted = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if exhausted.contains(&error.raw_os_error()) { Self::Ours(error) } else { Self::Backend(io_reason(&error)) }
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        Self::Backend(http_reason(&error))
    }
}

/// Asks the backend once, within its time-out. `Err`: the check could not be made, which says nothing of the backend.
pub(super) async fn check(backend: &BackendSpec) -> io::Result<Outcome> {
    let rule = &backend.health_check;
    let start = Instant::now();
    let answer = timeout(Duration::from_millis(rule.timeout_ms.into()), ask(backend)).await;
    let took_ms = start.elapsed().as_millis();
    Ok(match answer {
        Ok(Ok(status)) => judge_status(rule, status, took_ms),
        Ok(Err(Fault::Backend(reason))) => Outcome { success: false, reason },
        Ok(Err(Fault::Ours(error))) => return Err(error),
        Err(_) => Outcome { success: false, reason: format!("timeout after {} ms", rule.timeout_ms) },
    })
}

fn judge_status(rule: &HealthCheck, status: u16, took_ms: u128) -> Outcome {
    let (low, high) = (rule.expected_status_min, rule.expected_status_max);
    if (low..=high).contains(&status) {
        return Outcome { success: true, reason: format!("{status} in {took_ms} ms") };
    }
    Outcome { success: false, reason: format!("status {status}, expected {low}-{high}") }
}

async fn ask(backend: &BackendSpec) -> Result<u16, Fault> {
    let stream = TcpStream::connect(backend.url.authority()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request(backend).map_err(|e| Fault::Backend(format!("cannot ask: {e}")))?;
    // The connection is driven here and dropped with the answer's head: nobody reads the body.
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => return Err(error.into()),
        },
    };
    Ok(answer?.status().as_u16())
}

fn request(backend: &BackendSpec) -> Result<Request<Empty<Bytes>>, http::Error> {
    Request::builder()
        .method(backend.health_check.method.as_str())
        .uri(backend.health_check.path.as_str())
        .header(header::HOST, backend.url.authority())
        .header(header::USER_AGENT, concat!("balancer/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}

fn http_reason(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error).and_then(|s| s.downcast_ref::<io::Error>());
    match source {
        Some(io) => io_reason(io),
        None if error.is_parse() => format!("not HTTP: {error}"),
        None if error.is_incomplete_message() || error.is_canceled() => {
            "closed the connection without an answer".into()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_not_blamed_for_our_want_of_descriptors() {
        let fault = |errno: Errno| Fault::from(io::Error::from(errno));
        assert!(matches!(fault(Errno::MFILE), Fault::Ours(_)));
        assert!(matches!(fault(Errno::NFILE), Fault::Ours(_)));
        assert!(matches!(fault(Errno::CONNREFUSED), Fault::Backend(reason) if reason == "connection refused"));
    }
}
