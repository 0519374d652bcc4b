//! Flags and `BALANCER_*` variables. Values stay text here, so that a bad one is reported the same way wherever it came
//! from.

use super::{ControlPlaneTlsArgs, ProxyArgs};

/// Balancer's data plane: an HTTP proxy that decides every request locally
#[derive(clap::Parser)]
#[command(name = "dataplane", version)]
pub struct Cli {
    /// How it runs
    #[command(flatten)]
    pub args: Args,
    /// Check the configuration and exit
    #[arg(long)]
    pub validate: bool,
}

/// Flags of a data plane; each flag is also an environment variable, and the flag wins.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Control plane to follow, http://host:port or https://host:port; repeat it (or separate by commas) for several, tried in order
    #[arg(
        long = "control-plane",
        env = "BALANCER_CONTROL_PLANE",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:9090"
    )]
    pub control_planes: Vec<String>,

    /// TLS to control planes
    #[command(flatten)]
    pub control_plane_tls: ControlPlaneTlsArgs,

    /// Token to show to the control plane
    #[arg(long, env = "BALANCER_TOKEN", hide_env_values = true, default_value = "", hide_default_value = true)]
    pub token: String,

    /// Address to serve clients on
    #[arg(long, env = "BALANCER_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,

    /// Address to serve /metrics, /healthz and /readyz on
    #[arg(long, env = "BALANCER_ADMIN_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:9091")]
    pub admin_listen: String,

    /// Token to ask for on the admin address
    #[arg(long, env = "BALANCER_ADMIN_TOKEN", hide_env_values = true, default_value = "", hide_default_value = true)]
    pub admin_token: String,

    /// Let an admin address that is not loopback go without a token
    #[arg(long, env = "BALANCER_ADMIN_ALLOW_REMOTE_WITHOUT_TOKEN", value_parser = clap::builder::BoolishValueParser::new())]
    pub admin_allow_remote_without_token: bool,

    /// Connections that the admin address may have at once, 2 to 1000000; one address may have half of them
    #[arg(long, env = "BALANCER_ADMIN_MAX_CONNECTIONS", value_name = "N", default_value = "512")]
    pub admin_max_connections: String,

    /// Directory that keeps the last good snapshot, "none" for no such thing [default: .balancer/dataplane-PORT]
    #[arg(long, env = "BALANCER_STATE_DIR", value_name = "DIR", default_value = "", hide_default_value = true)]
    pub state_dir: String,

    /// How requests are served
    #[command(flatten)]
    pub proxy: ProxyArgs,

    /// text for people, json for programs
    #[arg(long, env = "BALANCER_LOG_FORMAT", value_name = "text|json", default_value = "text")]
    pub log_format: String,

    /// error, warn, info, debug, trace, or a filter such as info,dataplane::sync=debug
    #[arg(long, env = "BALANCER_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}
