//! `dataplane`: the proxy by itself, following a control plane.

use std::process::ExitCode;

use clap::Parser;
use dataplane::{Args, Config, Listeners, Shared, logging, shutdown_signal};
use prometheus_client::registry::Registry;

/// Balancer's data plane: an HTTP proxy that decides every request locally.
#[derive(clap::Parser)]
#[command(name = "dataplane", version)]
struct Cli {
    #[command(flatten)]
    args: Args,
    /// Check the configuration and exit
    #[arg(long)]
    validate: bool,
}

/// Requests on all cores allocate small buffers; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { args, validate } = Cli::parse();
    let ended = Config::try_from(args).map(|config| if validate { valid() } else { serve(config) });
    let (error, code) = match ended {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => (format!("{error:#}"), 1),
        Err(error) => (error.to_string(), 64),
    };
    eprintln!("dataplane: {error}");
    ExitCode::from(code)
}

fn valid() -> anyhow::Result<()> {
    println!("the configuration is valid");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config) -> anyhow::Result<()> {
    logging::start(config.log_format, &config.log_level);
    let (mut registry, shutdown) = (Registry::default(), shutdown_signal()?);
    let shared = Shared::new(config.max_clients, &mut registry);
    let listeners = Listeners::bind(&config)?;
    Ok(dataplane::run(config, listeners, shared, registry, shutdown).await?)
}
