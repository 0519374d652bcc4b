//! `balancerctl`: the command line of a Balancer control plane. It talks gRPC only.

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Cli, fault::is_broken_pipe};

mod cli;
mod client;
mod commands;
mod fault;
mod limit_file;
mod output;
mod probe;
mod signals;
mod table;
mod tls;
mod view;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // `balancerctl limits list | head` is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(commands::run(cli))
}
