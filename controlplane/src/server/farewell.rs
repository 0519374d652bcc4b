//! Streams that nobody else ends at a shutdown: those of gRPC's own services, health and reflection.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

/// Ends the answers of `grpc.*` services when a shutdown begins, with a status that says so.
pub(super) async fn end_streams(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    let is_stream = request.uri().path().starts_with("/grpc.");
    let response = next.run(request).await;
    if !is_stream {
        return response;
    }
    response.map(|body| Body::new(Ending { body, shutdown: Some(Box::pin(shutdown.cancelled_owned())) }))
}

/// A body that ends early.
struct Ending {
    body: Body,
    /// `None`: the end has been said.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(shutdown) = &mut self.shutdown else { return Poll::Ready(None) };
        let is_over = shutdown.as_mut().poll(context).is_ready();
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if is_over => {
                self.shutdown = None;
                Poll::Ready(Some(Ok(Frame::trailers(goodbye()))))
            }
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.shutdown.is_none() || self.body.is_end_stream()
    }
}

fn goodbye() -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    // Its message is plain text: it can be a header.
    let _ = Status::unavailable("the control plane is shutting down").add_header(&mut trailers);
    trailers
}
