//! One limit: set, get, delete.

use anyhow::{Context, Result, bail};
use balancer_proto::v1::{DeleteLimitRequest, GetLimitRequest, Limit, SetLimitRequest, UpdateLimitRequest};
use clap::Args;
use serde_json::json;
use tonic::Code;

use crate::{
    client::Client,
    output::{Format, print_one},
    view::limit::LimitRow,
};

/// A client and its new limit.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// API key, `ip:port` or ip.
    client: String,
    /// Requests that may come at once, at least 1. Left out: as it is.
    #[arg(long, allow_negative_numbers = true, value_name = "N", required_unless_present = "rate")]
    capacity: Option<f64>,
    /// Requests per second that are allowed on; 0: the burst never refills. Left out: as it is.
    #[arg(long, allow_negative_numbers = true, value_name = "N", required_unless_present = "capacity")]
    rate: Option<f64>,
}

/// A client.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// API key, `ip:port` or ip.
    client: String,
}

/// A client.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// API key, `ip:port` or ip.
    client: String,
}

/// Creates or changes a limit.
pub(crate) async fn set(args: SetArgs, client: &Client, format: Format) -> Result<()> {
    let whole = args.capacity.is_some() && args.rate.is_some();
    let limit = Limit { client_id: args.client, capacity: args.capacity, rate_per_sec: args.rate };
    if whole { set_whole(limit, client, format).await } else { change_part(limit, client, format).await }
}

async fn set_whole(limit: Limit, client: &Client, format: Format) -> Result<()> {
    let request = client.request(SetLimitRequest { limit: Some(limit.clone()) });
    let answer = client.limits().set_limit(request).await.map_err(|s| client.explain(&s))?.into_inner();
    let object = json!({"created": answer.created, "revision": answer.revision});
    print_one(format, &object, || sentence(if answer.created { "created" } else { "changed" }, &limit.into()))
}

async fn change_part(limit: Limit, client: &Client, format: Format) -> Result<()> {
    let client_id = limit.client_id.clone();
    let request = client.request(UpdateLimitRequest { limit: Some(limit) });
    let answer = match client.limits().update_limit(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::NotFound => {
            bail!("client {client_id:?} has no limit yet: give both --capacity and --rate")
        }
        Err(status) => return Err(client.explain(&status)),
    };
    let limit = answer.limit.context("the control plane answered without the limit")?;
    let object = json!({"created": false, "revision": answer.revision});
    print_one(format, &object, || sentence("changed", &limit.into()))
}

fn sentence(done: &str, limit: &LimitRow) -> String {
    format!("{done} {}: capacity {}, {} per second", limit.client_id, limit.capacity, limit.rate_per_sec)
}

/// Shows a limit.
pub(crate) async fn get(args: GetArgs, client: &Client, format: Format) -> Result<()> {
    let request = client.request(GetLimitRequest { client_id: args.client });
    let answer = client.limits().get_limit(request).await.map_err(|s| client.explain(&s))?;
    let limit: LimitRow = answer.into_inner().limit.context("the control plane answered without the limit")?.into();
    print_one(format, &limit, || {
        format!("client    {}\ncapacity  {}\nrate/s    {}", limit.client_id, limit.capacity, limit.rate_per_sec)
    })
}

/// Deletes a limit.
pub(crate) async fn delete(args: DeleteArgs, client: &Client, format: Format) -> Result<()> {
    let request = client.request(DeleteLimitRequest { client_id: args.client.clone() });
    let answer = client.limits().delete_limit(request).await.map_err(|s| client.explain(&s))?;
    let revision = answer.into_inner().revision;
    print_one(format, &json!({"revision": revision}), || format!("deleted the limit of {}", args.client))
}
