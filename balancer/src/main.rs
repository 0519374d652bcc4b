//! `balancer`: both planes in one process, joined by the same gRPC stream as two machines would be.

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

mod args;
mod demo;
mod planes;
mod signals;
mod start;
mod welcome;

/// Requests on all cores allocate small buffers; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    controlplane::logging::start(&cli.log);
    match start::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("balancer: {error:#}");
            ExitCode::from(start::exit_code(&error))
        }
    }
}
