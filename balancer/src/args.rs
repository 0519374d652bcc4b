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
    pub(crate) data_plane: DataPlaneArgs,
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

/// Flags of the data plane that make sense here.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataPlaneArgs {
    #[command(flatten)]
    proxy: dataplane::ProxyArgs,
    /// Directory that keeps the last good snapshot; none: the database is at hand
    #[arg(long, env = "BALANCER_STATE_DIR", default_value = "none", value_name = "DIR")]
    state_dir: String,
}

impl DataPlaneArgs {
    /// The configuration of a data plane that serves on `listen` and follows the control plane at `control_plane`.
    pub(crate) fn config(
        &self,
        listen: SocketAddr,
        control_plane: SocketAddr,
        token: Option<&Token>,
    ) -> Result<dataplane::Config, dataplane::ConfigError> {
        let mut proxy = self.proxy.clone();
        if proxy.replica_id.is_empty() && self.state_dir == "none" && listen.port() != 0 {
            // The same after a restart: what it held then is not set aside for somebody who does not come back.
            proxy.replica_id = format!("{}-{listen}", dataplane::hostname());
        }
        dataplane::Config::try_from(dataplane::Args {
            control_planes: vec![format!("http://{control_plane}")],
            control_plane_tls: dataplane::ControlPlaneTlsArgs::default(),
            token: token.map(Token::reveal).unwrap_or_default().into(),
            listen: listen.to_string(),
            state_dir: self.state_dir.clone(),
            proxy,
            // Nobody listens there: metrics and health are on the control plane's port. Logging has started already.
            admin_listen: "127.0.0.1:0".into(),
            admin_token: String::new(),
            admin_allow_remote_without_token: false,
            admin_max_connections: "2".into(),
            log_format: "text".into(),
            log_level: "info".into(),
        })
    }
}
