//! Flags of the edge: which connections are served, and whose they are.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    ConfigError,
    check::{choice, error, number},
};
use crate::server::{Announcers, ConnectionCaps};

/// Who may connect, and how many.
#[derive(Clone, Debug, clap::Args)]
pub struct EdgeArgs {
    /// Clients' connections at once; more get 503 and are closed [default: 0, as many as file descriptors allow]
    #[arg(long, env = "BALANCER_MAX_CONNECTIONS", value_name = "N", default_value = "0", hide_default_value = true)]
    pub max_connections: String,

    /// Connections at once from one address (IPv6: one /64); more get 503 and are closed [default: 0, any number]
    #[arg(
        long,
        env = "BALANCER_MAX_CONNECTIONS_PER_CLIENT",
        value_name = "N",
        default_value = "0",
        hide_default_value = true
    )]
    pub max_connections_per_client: String,

    /// Whether each connection begins with a PROXY protocol header (version 1 or 2), which names the client: on or off
    #[arg(long, env = "BALANCER_PROXY_PROTOCOL", value_name = "on|off", default_value = "off")]
    pub proxy_protocol: String,

    /// Addresses or networks of the balancers that send that header; nobody else is served then
    #[arg(
        long,
        env = "BALANCER_PROXY_PROTOCOL_FROM",
        value_name = "CIDR,...",
        value_delimiter = ',',
        default_value = "127.0.0.0/8,::1"
    )]
    pub proxy_protocol_from: Vec<String>,
}

const MAX_CONNECTIONS: usize = 1 << 30;

impl EdgeArgs {
    pub(super) fn caps(&self) -> Result<ConnectionCaps, ConfigError> {
        let cap = |flag, text: &String| number(flag, text, 0, MAX_CONNECTIONS);
        Ok(ConnectionCaps {
            max: cap("max-connections", &self.max_connections)?,
            per_client: cap("max-connections-per-client", &self.max_connections_per_client)?,
        })
    }

    /// The balancers in front, if there are any.
    pub(super) fn announcers(&self) -> Result<Option<Announcers>, ConfigError> {
        let is_on = choice("proxy-protocol", &self.proxy_protocol, &[("on", true), ("off", false)])?;
        let given = self.proxy_protocol_from.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        let networks = given.map(network).collect::<Result<Vec<_>, _>>()?;
        if is_on && networks.is_empty() {
            return Err(error("proxy-protocol-from", "", "the balancers in front, since --proxy-protocol is on"));
        }
        Ok(is_on.then(|| Announcers::new(networks)))
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, ConfigError> {
    let address = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    let fault = || error("proxy-protocol-from", text, "an address or a network, e.g. 10.0.0.1 or 10.0.0.0/8");
    text.parse().or_else(|_| address(text)).map_err(|_| fault())
}
