//! The command line: the control plane's flags and those of the data plane that make sense here.

use std::net::SocketAddr;

use clap::{ArgAction, Args, Parser};
use controlplane::{Token, config, logging::LogArgs};

/// Balancer in one process: control plane and data plane.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) config: config::Args,
    #[command(flatten)]
    pub(crate) proxy: ProxyArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Start three echo backends, on 127.0.0.1:8081 to 8083, and use them whatever the file says
    #[arg(long)]
    pub(crate) demo: bool,
    /// First port of --demo's backends; 0: any free ones
    #[arg(long, value_name = "PORT", default_value_t = 8081, requires = "demo", value_parser = clap::value_parser!(u16).range(..=65533))]
    pub(crate) demo_port: u16,
    /// Check the configuration and exit
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) validate: bool,
}

/// Flags of the proxy. They stay text here: the data plane reads them as it reads its own.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Threads that serve clients, 1 to 1024 [default: one per core]
    #[arg(long, env = "BALANCER_THREADS", default_value = "", hide_default_value = true, value_name = "N")]
    threads: String,
    /// Client buckets to have room for
    #[arg(long, env = "BALANCER_MAX_CLIENTS", default_value = "1000000", value_name = "N")]
    max_clients: String,
    /// Name of the data plane in status and logs [default: HOSTNAME-PID-RANDOM]
    #[arg(long, env = "BALANCER_REPLICA_ID", default_value = "", hide_default_value = true, value_name = "NAME")]
    replica_id: String,
    /// Directory that keeps the last good snapshot; none: the database is at hand
    #[arg(long, env = "BALANCER_STATE_DIR", default_value = "none", value_name = "DIR")]
    state_dir: String,
    /// One log line per request: on or off
    #[arg(long, env = "BALANCER_ACCESS_LOG", default_value = "off", value_name = "on|off")]
    access_log: String,
    /// Seconds that requests in flight get to finish at shutdown
    #[arg(long, env = "BALANCER_GRACE_SECS", default_value = "30", value_name = "SECONDS")]
    grace_secs: String,
}

impl ProxyArgs {
    /// The configuration of a data plane that serves on `listen` and follows the control plane at `admin`.
    pub(crate) fn config(
        &self,
        listen: SocketAddr,
        admin: SocketAddr,
        token: Option<&Token>,
    ) -> Result<dataplane::Config, dataplane::ConfigError> {
        dataplane::Config::try_from(dataplane::Args {
            control_planes: vec![format!("http://{admin}")],
            token: token.map(Token::reveal).unwrap_or_default().into(),
            listen: listen.to_string(),
            state_dir: self.state_dir.clone(),
            threads: self.threads.clone(),
            max_clients: self.max_clients.clone(),
            replica_id: self.replica_id.clone(),
            access_log: self.access_log.clone(),
            grace_secs: self.grace_secs.clone(),
            // Nobody listens there: metrics and health are on the control plane's port. Logging has started already.
            admin_listen: "127.0.0.1:0".into(),
            admin_token: String::new(),
            admin_allow_remote_without_token: false,
            log_format: "text".into(),
            log_level: "info".into(),
        })
    }
}
