//! `controlplane`: the control plane as a server.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use controlplane::{Error, config, logging, signals};
use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;
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

/// Threads that a hung file or a migration still holds are not waited for longer than this.
const LEFTOVERS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(&cli.log);
    let served = Runtime::new().map_err(Error::Io).and_then(|runtime| {
        let served = runtime.block_on(serve(cli));
        runtime.shutdown_timeout(LEFTOVERS);
        served
    });
    match served {
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
