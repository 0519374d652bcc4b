//! Flags and environment of the program.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

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
    /// Form of the lines on stderr.
    #[arg(long, env = "BALANCER_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
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
