//! Two planes, one life.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use dataplane::Shared;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the control plane runs with. Its registry holds the data plane's metrics too.
pub(crate) struct Control {
    pub(crate) config: controlplane::config::Config,
    pub(crate) listeners: controlplane::Listeners,
    pub(crate) registry: Registry,
    pub(crate) reload: mpsc::Receiver<controlplane::config::Config>,
}

/// What the data plane runs with.
pub(crate) struct Data {
    pub(crate) config: dataplane::Config,
    pub(crate) listeners: dataplane::Listeners,
    pub(crate) shared: Arc<Shared>,
}

/// Runs both until `stop`. The data plane drains first, so that requests in flight still see a whole system; if one
/// plane ends by itself, so does the other.
pub(crate) async fn run(control: Control, data: Data, stop: &CancellationToken) -> Result<()> {
    let (stop_control, stop_data) = (CancellationToken::new(), stop.child_token());
    let Control { config, listeners, registry, reload } = control;
    let mut control = tokio::spawn(controlplane::run(config, listeners, registry, reload, stop_control.clone()));
    let Data { config, listeners, shared } = data;
    let mut data = tokio::spawn(dataplane::run(config, listeners, shared, Registry::default(), stop_data.clone()));
    let (control, data) = tokio::select! {
        ended = &mut control => {
            stop_data.cancel();
            (ended, data.await)
        }
        ended = &mut data => {
            stop_control.cancel();
            (control.await, ended)
        }
    };
    // Their errors say their causes themselves; as causes of another error they would be said twice.
    control?.map_err(|error| anyhow!("control plane: {error}"))?;
    data?.map_err(|error| anyhow!("data plane: {error}"))
}
