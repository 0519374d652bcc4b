//! Flags of the request path, the same for a data plane of its own and for `balancer`.

use std::{path::PathBuf, time::Duration};

use super::{
    ConfigError, EdgeArgs, PoolArgs,
    check::{choice, error, number},
};
use crate::server::{
    ProxyOptions, ServeOptions,
    tls::{CertificateFiles, Certificates, TlsError},
};

/// How requests are served.
#[derive(Clone, Debug, clap::Args)]
pub struct ProxyArgs {
    /// Threads that serve clients, 1 to 1024 [default: one per core]
    #[arg(long, env = "BALANCER_THREADS", value_name = "N", default_value = "", hide_default_value = true)]
    pub threads: String,

    /// Client buckets to have room for
    #[arg(long, env = "BALANCER_MAX_CLIENTS", value_name = "N", default_value = "1000000")]
    pub max_clients: String,

    /// Name of this data plane, unique among those running [default: HOSTNAME-PID-RANDOM, the same again with the same state directory]
    #[arg(long, env = "BALANCER_REPLICA_ID", value_name = "NAME", default_value = "", hide_default_value = true)]
    pub replica_id: String,

    /// Milliseconds that a client's first request here may wait for its tokens to come from the control plane
    #[arg(long, env = "BALANCER_LEASE_WAIT_MS", value_name = "MS", default_value = "20")]
    pub lease_wait_ms: String,

    /// One log line per request: on or off
    #[arg(long, env = "BALANCER_ACCESS_LOG", value_name = "on|off", default_value = "off")]
    pub access_log: String,

    /// Seconds that requests in flight get to finish at shutdown
    #[arg(long, env = "BALANCER_GRACE_SECS", value_name = "SECONDS", default_value = "30")]
    pub grace_secs: String,

    /// Speak TLS on the proxy port with this certificate (PEM, with its chain); repeat it for several hosts
    #[arg(long, env = "BALANCER_TLS_CERT", value_name = "FILE", value_delimiter = ',')]
    pub tls_cert: Vec<PathBuf>,

    /// Private key (PEM) of the --tls-cert in the same place
    #[arg(long, env = "BALANCER_TLS_KEY", value_name = "FILE", value_delimiter = ',')]
    pub tls_key: Vec<PathBuf>,

    /// Milliseconds until a backend must have accepted a connection
    #[arg(long, env = "BALANCER_CONNECT_TIMEOUT_MS", value_name = "MS", default_value = "1000")]
    pub connect_timeout_ms: String,

    /// Milliseconds from the last byte of a request to the first of its answer
    #[arg(long, env = "BALANCER_RESPONSE_TIMEOUT_MS", value_name = "MS", default_value = "30000")]
    pub response_timeout_ms: String,

    /// Milliseconds between two parts of an answer's body
    #[arg(long, env = "BALANCER_BACKEND_IDLE_TIMEOUT_MS", value_name = "MS", default_value = "60000")]
    pub backend_idle_timeout_ms: String,

    /// Milliseconds a tunnel (WebSocket) may carry nothing in either direction
    #[arg(long, env = "BALANCER_TUNNEL_IDLE_TIMEOUT_MS", value_name = "MS", default_value = "3600000")]
    pub tunnel_idle_timeout_ms: String,

    /// Milliseconds a client gets to send the head of a request
    #[arg(long, env = "BALANCER_HEADER_TIMEOUT_MS", value_name = "MS", default_value = "10000")]
    pub header_timeout_ms: String,

    /// Milliseconds a client's connection may wait for its next request
    #[arg(long, env = "BALANCER_KEEP_ALIVE_TIMEOUT_MS", value_name = "MS", default_value = "60000")]
    pub keep_alive_timeout_ms: String,

    /// Milliseconds between two parts of a request's body, and for a client to take a part of its answer
    #[arg(long, env = "BALANCER_CLIENT_IDLE_TIMEOUT_MS", value_name = "MS", default_value = "30000")]
    pub client_idle_timeout_ms: String,

    /// Milliseconds an unused connection to a backend is kept
    #[arg(long, env = "BALANCER_UPSTREAM_IDLE_TIMEOUT_MS", value_name = "MS", default_value = "30000")]
    pub upstream_idle_timeout_ms: String,

    /// Who may connect, and how many
    #[command(flatten)]
    pub edge: EdgeArgs,

    /// How backends are chosen and avoided
    #[command(flatten)]
    pub pool: PoolArgs,
}

const MAX_GRACE_SECS: u64 = 86_400;
const MAX_TIMEOUT_MS: u64 = 86_400_000;

impl ProxyArgs {
    /// The options they stand for.
    pub(super) fn serve_options(&self) -> Result<ServeOptions, ConfigError> {
        let proxy = ProxyOptions {
            connect_timeout: millis("connect-timeout-ms", &self.connect_timeout_ms)?,
            response_timeout: millis("response-timeout-ms", &self.response_timeout_ms)?,
            backend_idle_timeout: millis("backend-idle-timeout-ms", &self.backend_idle_timeout_ms)?,
            tunnel_idle_timeout: millis("tunnel-idle-timeout-ms", &self.tunnel_idle_timeout_ms)?,
            header_timeout: millis("header-timeout-ms", &self.header_timeout_ms)?,
            keep_alive_timeout: millis("keep-alive-timeout-ms", &self.keep_alive_timeout_ms)?,
            client_idle_timeout: millis("client-idle-timeout-ms", &self.client_idle_timeout_ms)?,
            upstream_idle_timeout: millis("upstream-idle-timeout-ms", &self.upstream_idle_timeout_ms)?,
            access_log: choice("access-log", &self.access_log, &[("on", true), ("off", false)])?,
            pool: self.pool.rules()?,
            queue_timeout: self.pool.queue_timeout()?,
            lease_wait: millis("lease-wait-ms", &self.lease_wait_ms)?,
            ..ProxyOptions::default()
        };
        let grace = Duration::from_secs(number("grace-secs", &self.grace_secs, 0, MAX_GRACE_SECS)?);
        Ok(ServeOptions {
            grace,
            proxy,
            tls: self.certificates()?,
            caps: self.edge.caps()?,
            announcers: self.edge.announcers()?,
        })
    }

    fn certificates(&self) -> Result<Option<Certificates>, ConfigError> {
        let (given, keys) = (self.tls_cert.len(), self.tls_key.len());
        if given != keys {
            return Err(error("tls-key", &keys.to_string(), format!("one for each of the {given} --tls-cert")));
        }
        if given == 0 {
            return Ok(None);
        }
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        let files =
            pairs.map(|(certificate, key)| CertificateFiles { certificate: certificate.clone(), key: key.clone() });
        let unusable =
            |fault: TlsError| error("tls-cert", &fault.to_string(), "certificates and keys that can be used");
        Certificates::load(files.collect()).map(Some).map_err(unusable)
    }
}

fn millis(flag: &str, text: &str) -> Result<Duration, ConfigError> {
    number(flag, text, 1, MAX_TIMEOUT_MS).map(Duration::from_millis)
}
