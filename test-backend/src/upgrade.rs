//! `/upgrade`: leaves HTTP and echoes bytes.

use http::{HeaderValue, Response, StatusCode, header};
use hyper::{Request, body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::body::{AnyBody, full};

/// Answers 101 and echoes from then on; 426 when the request asks for no upgrade.
pub(crate) fn upgrade(
    mut request: Request<Incoming>,
    tunnels: &TaskTracker,
    shutdown: &CancellationToken,
) -> Response<AnyBody> {
    let mut response = Response::new(full(""));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let Some(protocol) = request.headers().get(header::UPGRADE).cloned() else {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, protocol);
    let tunnel = echo(hyper::upgrade::on(&mut request));
    tunnels.spawn(shutdown.clone().run_until_cancelled_owned(tunnel));
    response
}

/// Sends back what comes until the peer closes its side.
async fn echo(upgraded: OnUpgrade) {
    let Ok(connection) = upgraded.await else { return };
    let (mut read, mut write) = tokio::io::split(TokioIo::new(connection));
    // A peer that resets the tunnel ends it; there is nobody to tell.
    let _ = tokio::io::copy(&mut read, &mut write).await;
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
}
