//! From the command line to two running planes.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, anyhow};
use controlplane::{
    Companion, Internal,
    config::{self, Config, ServerConfig},
    logging::LogFormat,
};
use dataplane::{Listeners, Shared};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::{
    args::Cli,
    demo::Demo,
    planes::{self, Control, Data},
    welcome,
};

/// 64 for a bad configuration, 1 for everything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<config::ConfigError>() || error.is::<dataplane::ConfigError>() { 64 } else { 1 }
}

/// Runs until a signal asks to stop or a plane fails.
pub(crate) async fn run(mut cli: Cli) -> Result<()> {
    let config = config::load(&cli.config)?;
    if cli.validate {
        return validate(&cli, &config).await;
    }
    if !cli.demo {
        return serve(&cli, config).await;
    }
    let demo = Demo::start(cli.demo_port).await?;
    // As a flag, so that it beats the file, now and when the file is read again.
    cli.config.backend_list = Some(demo.urls.clone());
    let served = serve(&cli, config::load(&cli.config)?).await;
    demo.stop().await;
    served
}

/// Everything that can be checked without listening.
async fn validate(cli: &Cli, config: &Config) -> Result<()> {
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    cli.data_plane.config(proxy_address(&config.server).await?, unknown, config.admin.token.as_ref())?;
    println!("the configuration is valid");
    Ok(())
}

async fn serve(cli: &Cli, config: Config) -> Result<()> {
    let stop = CancellationToken::new();
    controlplane::signals::on_terminate(stop.clone())?;
    let reload = controlplane::signals::on_hangup(cli.config.clone())?;
    let listener = controlplane::listen(&config.admin).await.map_err(|error| anyhow!("{error}"))?;
    let admin = listener.local_addr()?;
    let internal = Internal::open().await.context("cannot join the planes")?;
    let mut registry = Registry::default();
    let data = data_plane(cli, &config, &internal, &mut registry).await?;
    let shared = data.shared.clone();
    let proxy = Companion::new(move || shared.unready().map(|why| format!("proxy: {why}")));
    let listeners = controlplane::Listeners { admin: listener, internal: Some(internal), companion: Some(proxy) };
    if cli.log.log_format == LogFormat::Text {
        let proxy = data.listeners.proxy.first().map_or(Ok(data.config.listen), TcpListener::local_addr)?;
        let (proxy, admin) =
            (welcome::url(proxy, data.config.serve.tls.is_some()), welcome::url(admin, config.admin.tls.is_some()));
        welcome::print(&proxy, &admin, &config.database.to_string());
    }
    planes::run(Control { config, listeners, registry, reload }, data, &stop).await
}

/// A data plane without an admin port of its own. It has a way in to the control plane for itself, which no flood of the
/// admin port closes, and which needs no certificates.
async fn data_plane(cli: &Cli, config: &Config, internal: &Internal, registry: &mut Registry) -> Result<Data> {
    let listen = proxy_address(&config.server).await?;
    let config = cli.data_plane.config(listen, internal.address()?, Some(internal.token()))?;
    let proxy = dataplane::server::bind(listen, config.threads).with_context(|| {
        format!(
            "cannot listen on {listen} (proxy): is another instance running? set server.port or BALANCER_SERVER_PORT"
        )
    })?;
    let shared = Shared::new(config.max_clients, registry);
    Ok(Data { config, listeners: Listeners { proxy, admin: None }, shared })
}

/// `server.host` may be a name.
async fn proxy_address(server: &ServerConfig) -> Result<SocketAddr> {
    let ServerConfig { host, port } = server;
    let mut found = tokio::net::lookup_host((host.as_str(), *port))
        .await
        .with_context(|| format!("server.host: no address is known for {host:?}"))?;
    found.next().with_context(|| format!("server.host: no address is known for {host:?}"))
}
