//! Asking a backend, on a connection of its own, so that nothing but the backend's answer is judged.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::io::Errno;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::domain::{BackendCa, BackendSpec, Scheme};

/// Why there is no answer.
pub(super) enum Fault {
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

impl From<http::Error> for Fault {
    fn from(error: http::Error) -> Self {
        Self::Backend(format!("cannot ask: {error}"))
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        Self::Backend(http_reason(&error))
    }
}

/// TLS to backends that must be certified by `ca`, or else by a public authority.
pub(super) fn connector(ca: Option<&BackendCa>) -> Result<TlsConnector, rustls::Error> {
    let public = || RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(ca.map_or_else(public, BackendCa::roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}

/// The status of the backend's answer.
pub(super) async fn ask(backend: &BackendSpec, tls: &TlsConnector) -> Result<u16, Fault> {
    let stream = TcpStream::connect(backend.url.authority()).await?;
    match (backend.url.scheme(), backend.url.server_name()) {
        (Scheme::H2c, _) => over_http2(stream, backend).await,
        (Scheme::Https, Some(name)) => {
            let stream = tls.connect(name, stream).await.map_err(tls_fault)?;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => over_http2(stream, backend).await,
                _ => over_http1(stream, backend).await,
            }
        }
        _ => over_http1(stream, backend).await,
    }
}

async fn over_http1(stream: impl AsyncRead + AsyncWrite + Unpin, backend: &BackendSpec) -> Result<u16, Fault> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = request(backend, &backend.health_check.path)?;
    let host = header::HeaderValue::try_from(backend.url.authority()).map_err(http::Error::from)?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    answered(sender.send_request(request), connection).await
}

async fn over_http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    backend: &BackendSpec,
) -> Result<u16, Fault> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // What is in a request is http or https, however the connection came about (RFC 9113 section 8.3.1).
    let scheme = if backend.url.scheme() == Scheme::Https { "https" } else { "http" };
    let target = format!("{scheme}://{}{}", backend.url.authority(), backend.health_check.path);
    answered(sender.send_request(request(backend, &target)?), connection).await
}

/// The connection is driven here and dropped with the answer's head: nobody reads the body.
async fn answered<B>(
    answer: impl Future<Output = hyper::Result<http::Response<B>>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> Result<u16, Fault> {
    tokio::pin!(connection);
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

fn request(backend: &BackendSpec, target: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    Request::builder()
        .method(backend.health_check.method.as_str())
        .uri(target)
        .header(header::USER_AGENT, concat!("balancer/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
}

/// TLS reports what is wrong with a certificate as an error of I/O.
fn tls_fault(error: io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Fault::Backend(format!("TLS: {tls}")),
        None => error.into(),
    }
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
