//! One module per command.

use anyhow::Result;

use crate::{
    cli::{Cli, Command},
    client::Client,
};

pub(crate) mod backends;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod limits;
pub(crate) mod status;
pub(crate) mod top;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<()> {
    let format = cli.global.output;
    let global = cli.global;
    match cli.command {
        Command::Limits(command) => limits::run(command, &global, format).await,
        Command::Backends(command) => backends::run(command, &Client::connect(&global).await?, format).await,
        Command::Explain(args) => explain::run(args, &Client::connect(&global).await?, format).await,
        Command::Status => status::run(&Client::connect(&global).await?, format).await,
        Command::Top(args) => top::run(&args, &Client::connect(&global).await?, format).await,
        Command::Completions { shell } => completions::run(shell),
    }
}
