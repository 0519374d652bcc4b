//! From an address to an open stream, or to the reason why there is none.

use std::{error::Error, time::Duration};

use balancer_proto::v1::{SyncRequest, SyncResponse, data_plane_service_client::DataPlaneServiceClient};
use http::Uri;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{AsciiMetadataValue, MetadataValue},
    transport::Endpoint,
};

use crate::config::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the connection's begin to the control plane's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Chunks are far smaller; this bounds what a faulty sender can make the plane allocate.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
const WINDOW_BYTES: u32 = 4 << 20;

/// Why there is no stream any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("cannot connect: {}", chain(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("no answer within {} s", OPEN_TIMEOUT.as_secs())]
    NoAnswer,
    #[error("{}", told(.0))]
    Failed(#[from] Status),
    #[error("the control plane ended the stream")]
    Ended,
    #[error("the control plane fell silent")]
    Silent,
    #[error("the control plane does not read")]
    NotReading,
}

/// The transport's own text is "transport error"; what happened is in its innermost source.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}

/// A status without a known code was made up by the transport when the connection broke.
fn told(status: &Status) -> String {
    match status.code() {
        Code::Unknown => format!("the stream broke: {}", status.message()),
        code => format!("{code}: {}", status.message()),
    }
}

/// Connects and opens the stream with what the data plane says first.
pub(super) async fn open(
    control_plane: &Uri,
    token: Option<&Secret>,
    outgoing: ReceiverStream<SyncRequest>,
) -> Result<Streaming<SyncResponse>, Lost> {
    let mut request = Request::new(outgoing);
    if let Some(bearer) = token.and_then(bearer) {
        request.metadata_mut().insert("authorization", bearer);
    }
    timeout(OPEN_TIMEOUT, call(control_plane, request)).await.map_err(|_| Lost::NoAnswer)?
}

async fn call(
    control_plane: &Uri,
    request: Request<ReceiverStream<SyncRequest>>,
) -> Result<Streaming<SyncResponse>, Lost> {
    let channel = endpoint(control_plane).connect().await?;
    let mut client = DataPlaneServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(client.sync(request).await?.into_inner())
}

/// HTTP/2's own keepalive finds a dead host even before Welcome; the heartbeat also finds a live host whose program hangs.
fn endpoint(control_plane: &Uri) -> Endpoint {
    Endpoint::from(control_plane.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
}

/// A token's characters were checked with the configuration.
fn bearer(token: &Secret) -> Option<AsciiMetadataValue> {
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.reveal())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
