//! `limits`: set, get, delete, list, import, export.

use anyhow::Result;
use clap::Subcommand;

use self::{
    edit::{DeleteArgs, GetArgs, SetArgs},
    export::ExportArgs,
    import::ImportArgs,
    list::ListArgs,
};
use crate::{cli::GlobalArgs, client::Client, output::Format};

mod edit;
mod export;
mod import;
mod list;
mod pages;

/// What to do with limits.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Create or change a client's limit; the client keeps its tokens.
    Set(SetArgs),
    /// Show a client's limit.
    Get(GetArgs),
    /// Delete a client's limit: it falls back to the default limit.
    Delete(DeleteArgs),
    /// List limits, ordered by client.
    List(ListArgs),
    /// Set the limits in a file. Checks the whole file first; may be repeated.
    Import(ImportArgs),
    /// Write all limits to a file that `import` reads.
    Export(ExportArgs),
}

/// Does it.
pub(crate) async fn run(command: LimitsCommand, global: &GlobalArgs, format: Format) -> Result<()> {
    match command {
        LimitsCommand::Set(args) => edit::set(args, &Client::connect(global).await?, format).await,
        LimitsCommand::Get(args) => edit::get(args, &Client::connect(global).await?, format).await,
        LimitsCommand::Delete(args) => edit::delete(args, &Client::connect(global).await?, format).await,
        LimitsCommand::List(args) => list::run(args, &Client::connect(global).await?, format).await,
        // Checks its file before it needs a control plane.
        LimitsCommand::Import(args) => import::run(&args, global, format).await,
        LimitsCommand::Export(args) => export::run(&args, &Client::connect(global).await?).await,
    }
}
