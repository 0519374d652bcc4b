//! Flags that every command has, and the list of commands.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{backends::BackendsCommand, explain::ExplainArgs, limits::LimitsCommand, top::TopArgs},
    output::Format,
};

/// Manage a Balancer: client limits, backends, and what the system is doing.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the control plane is, and how to answer.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Control plane to talk to.
    #[arg(
        long,
        global = true,
        env = "BALANCER_ENDPOINT",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9090",
        value_name = "URL"
    )]
    pub(crate) endpoint: String,
    /// Token of the control plane's admin port, if it has one.
    #[arg(long, global = true, env = "BALANCER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Authorities (PEM) to verify an `https://` control plane with [default: the public ones].
    #[arg(long, global = true, env = "BALANCER_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Certificate (PEM, with its chain) to show to a control plane that asks for one.
    #[arg(long, global = true, env = "BALANCER_CERT", value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key (PEM) of --cert.
    #[arg(long, global = true, env = "BALANCER_KEY", value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Form of the answer.
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Longest wait for one answer, as in `500ms` or `10s`.
    #[arg(long, global = true, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Limits of named clients.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// The backends that requests are balanced over.
    #[command(subcommand)]
    Backends(BackendsCommand),
    /// One client: which limit applies, who holds which of its tokens, why a request would be refused now.
    Explain(ExplainArgs),
    /// The control plane, its data planes and its backends, once.
    Status,
    /// The same, live, with rates; Ctrl-C ends it.
    Top(TopArgs),
    /// A completion script for a shell, on stdout.
    Completions {
        /// The shell.
        shell: Shell,
    },
}
