//! `balancer`: both planes in one process, joined by the same gRPC stream as two machines would be.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tokio::runtime::Runtime;

use crate::args::Cli;

mod args;
mod demo;
mod planes;
mod start;
mod welcome;

/// Requests on all cores allocate small buffers; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that a hung file or a migration still holds are not waited for longer than this.
const LEFTOVERS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    controlplane::logging::start(&cli.log);
    let served = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let served = runtime.block_on(start::run(cli));
        runtime.shutdown_timeout(LEFTOVERS);
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("balancer: {error:#}");
            ExitCode::from(start::exit_code(&error))
        }
    }
}
