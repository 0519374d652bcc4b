//! `limits list`.

use std::io::{self, BufWriter};

use anyhow::Result;
use clap::Args;

use super::pages::Pages;
use crate::{
    client::Client,
    output::{Format, ListPrinter},
};

/// Which limits.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only clients that start with this.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// At most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Prints page by page.
pub(crate) async fn run(args: ListArgs, client: &Client, format: Format) -> Result<()> {
    let mut printer = ListPrinter::new(format, BufWriter::new(io::stdout()));
    let mut pages = Pages::new(client, args.prefix);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(page) = pages.next(left).await? else { break };
        left = left.saturating_sub(page.len() as u64);
        printer.print(&page)?;
    }
    printer.finish()
}
