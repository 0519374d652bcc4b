//! Flags and environment of the program.

use std::{io, net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use test_backend::{Speech, Versions};

/// Echo backend for trying Balancer out: answers any request with a JSON description of it.
#[derive(Debug, Parser)]
#[command(version, after_help = test_backend::PATHS)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, env = "BALANCER_TEST_BACKEND_LISTEN", default_value = "127.0.0.1:8081", value_name = "IP:PORT")]
    pub(crate) listen: SocketAddr,
    /// What X-Backend says; by default the address it listens on.
    #[arg(long, env = "BALANCER_TEST_BACKEND_NAME")]
    pub(crate) name: Option<String>,
    /// HTTP that is spoken.
    #[arg(long, env = "BALANCER_TEST_BACKEND_HTTP", default_value = "both", value_name = "VERSIONS")]
    pub(crate) http: Http,
    /// Speak TLS with this certificate (PEM, with its chain)
    #[arg(long, env = "BALANCER_TEST_BACKEND_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert
    #[arg(long, env = "BALANCER_TEST_BACKEND_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Form of the lines on stderr.
    #[arg(long, env = "BALANCER_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Http {
    /// HTTP/1 and HTTP/2, as the client likes.
    Both,
    /// HTTP/1 only.
    #[value(name = "1")]
    One,
    /// HTTP/2 only.
    #[value(name = "2")]
    Two,
}

impl Args {
    /// What is to be spoken.
    pub(crate) fn speech(&self) -> io::Result<Speech> {
        let versions = match self.http {
            Http::Both => Versions::Both,
            Http::One => Versions::Http1,
            Http::Two => Versions::Http2,
        };
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Speech::tls(versions, cert, key),
            _ => Ok(Speech::plain(versions)),
        }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Says that a socket accepts.
    pub(crate) fn log_listening(self, address: SocketAddr) {
        match self {
            Self::Text => eprintln!("INFO listening listener=\"backend\" address={address}"),
            Self::Json => eprintln!(
                "{}",
                serde_json::json!({"level": "INFO", "message": "listening", "listener": "backend", "address": address})
            ),
        }
    }
}
