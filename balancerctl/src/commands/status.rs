//! `status`: the whole system, once.

use anyhow::{Context, Result};
use balancer_proto::v1::GetStatusRequest;

use crate::{
    client::Client,
    output::{Format, print_one},
    view::status::StatusView,
};

/// Asks and prints.
pub(crate) async fn run(client: &Client, format: Format) -> Result<()> {
    let answer =
        client.status().get_status(client.request(GetStatusRequest {})).await.map_err(|s| client.explain(&s))?;
    let view = StatusView::from(answer.into_inner().status.context("the control plane answered without a status")?);
    let mut text = Vec::new();
    view.write(&mut text)?;
    print_one(format, &view, || String::from_utf8_lossy(&text).into_owned())
}
