//! `dataplane`: the proxy by itself, following a control plane.

use std::process::ExitCode;

use clap::Parser;
use dataplane::{Cli, Config, Error, logging};

/// Requests on all cores allocate small buffers; the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { args, validate } = Cli::parse();
    match Config::try_from(args) {
        Ok(_) if validate => println!("the configuration is valid"),
        Ok(config) => {
            if let Err(error) = serve(config) {
                return fail(1, &error);
            }
        }
        Err(error) => return fail(64, &error),
    }
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("dataplane: {error}");
    ExitCode::from(code)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config) -> Result<(), Error> {
    logging::start(config.log_format, &config.log_level);
    dataplane::start(config).await
}
