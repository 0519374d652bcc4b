//! From an address to an open stream, or to the reason why there is none.

use std::{error::Error, time::Duration};

use balancer_proto::v1::{SyncRequest, SyncResponse, data_plane_service_client::DataPlaneServiceClient};
use http::Uri;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{AsciiMetadataValue, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{
    SyncOptions,
    tls::{TlsFault, innermost},
};
use crate::config::Secret;

type Client = DataPlaneServiceClient<Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the connection's begin to the control plane's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Chunks are far smaller; this bounds what a faulty sender can make the plane allocate.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
const WINDOW_BYTES: u32 = 4 << 20;

/// Why there is no stream any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("cannot connect: {}", innermost(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("no answer within {} s", OPEN_TIMEOUT.as_secs())]
    NoAnswer,
    #[error("{0}")]
    Tls(#[from] TlsFault),
    /// By TLS 1.3 a server refuses a certificate only after the client has begun to speak.
    #[error(
        "{}; one with admin.tls.client_ca drops whoever has no certificate of it (--control-plane-cert)",
        told(.0)
    )]
    Dropped(Status),
    #[error("{}", told(.0))]
    Failed(#[from] Status),
    #[error("the control plane ended the stream")]
    Ended,
    #[error("the control plane fell silent")]
    Silent,
    #[error("the control plane does not read")]
    NotReading,
    #[error("this data plane has taken another name, and opens it anew under that")]
    Renamed,
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
    options: &SyncOptions,
    outgoing: ReceiverStream<SyncRequest>,
) -> Result<Streaming<SyncResponse>, Lost> {
    dial(control_plane, options, outgoing, async |mut client, request| client.sync(request).await).await
}

/// Connects and makes one call of a stream.
pub(crate) async fn dial<Up, Down>(
    control_plane: &Uri,
    options: &SyncOptions,
    outgoing: Up,
    call: impl AsyncFnOnce(Client, Request<Up>) -> Result<Response<Streaming<Down>>, Status>,
) -> Result<Streaming<Down>, Lost> {
    let mut request = Request::new(outgoing);
    if let Some(bearer) = options.token.as_ref().and_then(bearer) {
        request.metadata_mut().insert("authorization", bearer);
    }
    let encrypted = control_plane.scheme_str() == Some("https");
    let endpoint = endpoint(control_plane);
    let endpoint = if encrypted { options.tls.secure(endpoint)? } else { endpoint };
    let opened = async {
        let client = Client::new(endpoint.connect().await?).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let refused = |status| if encrypted && broken(&status) { Lost::Dropped(status) } else { status.into() };
        Ok(call(client, request).await.map_err(refused)?.into_inner())
    };
    timeout(OPEN_TIMEOUT, opened).await.map_err(|_| Lost::NoAnswer)?
}

/// Whether the transport made the status up, since no answer came.
fn broken(status: &Status) -> bool {
    status.source().is_some_and(|source| source.is::<tonic::transport::Error>())
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
