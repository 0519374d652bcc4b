//! `controlplane`: the control plane as a server.

use std::process::ExitCode;

use clap::Parser;
use controlplane::{Error, config, logging, signals};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// Balancer's control plane: owns the database and tells data planes what to do
#[derive(Parser)]
#[command(name = "controlplane", version)]
struct Cli {
    #[command(flatten)]
    config: config::Args,
    #[command(flatten)]
    log: logging::LogArgs,
    /// Check the configuration and exit
    #[arg(long)]
    validate: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(&cli.log);
    match serve(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("controlplane: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn serve(cli: Cli) -> Result<(), Error> {
    let config = config::load(&cli.config)?;
    if cli.validate {
        println!("the configuration is valid");
        return Ok(());
    }
    let shutdown = CancellationToken::new();
    signals::on_terminate(shutdown.clone())?;
    let reload = signals::on_hangup(cli.config)?;
    let listener = controlplane::listen(&config.admin).await?;
    controlplane::run(config, listener, Registry::default(), reload, shutdown).await
}
