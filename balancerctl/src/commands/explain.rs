//! `explain`: one client, its limit and its tokens.

use anyhow::{Result, bail};
use balancer_proto::v1::ExplainClientRequest;
use clap::Args;
use tonic::Code;

use crate::{
    client::Client,
    output::{Format, print_one},
    view::explain::ExplainView,
};

/// A client.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// API key, ip or `ip:port`.
    client: String,
}

/// Asks and prints.
pub(crate) async fn run(args: ExplainArgs, client: &Client, format: Format) -> Result<()> {
    let request = client.request(ExplainClientRequest { client: args.client.clone() });
    let answer = match client.status().explain_client(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => bail!(
            "no limit has the client_id {:?}, and it is no address: give it a limit with `balancerctl limits set`, or name \
             the address its requests come from",
            args.client
        ),
        Err(status) => return Err(client.explain(&status)),
    };
    let view = ExplainView::new(args.client, answer);
    let mut text = Vec::new();
    view.write(&mut text)?;
    print_one(format, &view, || String::from_utf8_lossy(&text).into_owned())
}
