//! `backends`: list, add, remove, drain, enable, disable.

use std::io;

use anyhow::{Context, Result};
use balancer_proto::v1::{
    AddBackendRequest, AdminState, HealthCheck, ListBackendsRequest, RemoveBackendRequest, UpdateBackendRequest,
    remove_backend_request, update_backend_request,
};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    client::Client,
    output::{Format, ListPrinter, print_one},
    view::backend::{BackendRow, admin_state_word},
};

/// What to do with backends.
#[derive(Debug, Subcommand)]
pub(crate) enum BackendsCommand {
    /// All backends with their health and the reason for it.
    List,
    /// Add a backend to the pool.
    Add(AddArgs),
    /// Remove a backend that was added here; its requests in flight finish.
    Remove(Selected),
    /// Send a backend no new requests; those in flight finish.
    Drain(Selected),
    /// Send requests to a drained or disabled backend again.
    Enable(Selected),
    /// Send a backend no requests and check its health no more.
    Disable(Selected),
}

/// A new backend.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Where it is: http://, https:// or h2c://host:port.
    url: String,
    /// Share of requests relative to the other backends, 1 to 1000.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    weight: u32,
    /// Method of the health check; GET if left out.
    #[arg(long, value_name = "METHOD")]
    health_method: Option<String>,
    /// Path of the health check; /health if left out.
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
}

/// A backend in the pool.
#[derive(Debug, Args)]
pub(crate) struct Selected {
    /// Its id or its URL, as `backends list` shows them.
    #[arg(value_name = "ID|URL")]
    backend: String,
}

/// Does it.
pub(crate) async fn run(command: BackendsCommand, client: &Client, format: Format) -> Result<()> {
    match command {
        BackendsCommand::List => list(client, format).await,
        BackendsCommand::Add(args) => add(args, client, format).await,
        BackendsCommand::Remove(selected) => remove(selected, client, format).await,
        BackendsCommand::Drain(selected) => change(selected, AdminState::Draining, client, format).await,
        BackendsCommand::Enable(selected) => change(selected, AdminState::Active, client, format).await,
        BackendsCommand::Disable(selected) => change(selected, AdminState::Disabled, client, format).await,
    }
}

async fn list(client: &Client, format: Format) -> Result<()> {
    let request = client.request(ListBackendsRequest {});
    let answer = client.backends().list_backends(request).await.map_err(|s| client.explain(&s))?;
    let rows: Vec<BackendRow> = answer.into_inner().backends.into_iter().map(Into::into).collect();
    let mut printer = ListPrinter::new(format, io::stdout().lock());
    printer.print(&rows)?;
    printer.finish()
}

async fn add(args: AddArgs, client: &Client, format: Format) -> Result<()> {
    let checked = args.health_method.is_some() || args.health_path.is_some();
    let check = HealthCheck {
        method: args.health_method.unwrap_or_default(),
        path: args.health_path.unwrap_or_default(),
        ..HealthCheck::default()
    };
    let request = AddBackendRequest { url: args.url, weight: args.weight, health_check: checked.then_some(check) };
    let answer = client.backends().add_backend(client.request(request)).await.map_err(|s| client.explain(&s))?;
    let answer = answer.into_inner();
    let backend = answer.backend.context("the control plane answered without the backend")?;
    let sentence = format!("added backend {} {}", backend.id, backend.url);
    print_one(format, &BackendRow::from(backend), || sentence)
}

async fn remove(selected: Selected, client: &Client, format: Format) -> Result<()> {
    let selector = match selected.backend.parse() {
        Ok(id) => remove_backend_request::Selector::Id(id),
        Err(_) => remove_backend_request::Selector::Url(selected.backend.clone()),
    };
    let request = client.request(RemoveBackendRequest { selector: Some(selector) });
    let answer = client.backends().remove_backend(request).await.map_err(|s| client.explain(&s))?;
    let revision = answer.into_inner().revision;
    print_one(format, &json!({"revision": revision}), || format!("removed backend {}", selected.backend))
}

async fn change(selected: Selected, state: AdminState, client: &Client, format: Format) -> Result<()> {
    let selector = match selected.backend.parse() {
        Ok(id) => update_backend_request::Selector::Id(id),
        Err(_) => update_backend_request::Selector::Url(selected.backend),
    };
    let request = UpdateBackendRequest { selector: Some(selector), weight: None, admin_state: state.into() };
    let answer = client.backends().update_backend(client.request(request)).await.map_err(|s| client.explain(&s))?;
    let backend = answer.into_inner().backend.context("the control plane answered without the backend")?;
    let sentence = format!("backend {} {} is {}", backend.id, backend.url, admin_state_word(backend.admin_state()));
    print_one(format, &BackendRow::from(backend), || sentence)
}
