//! `DataPlaneService`.

mod codec;
mod greeting;
mod outbox;
mod position;
mod session;
mod told;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use balancer_proto::v1::SyncRequest;
use http::Request;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Response, Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};

use self::codec::FrameCodec;
use crate::{hub::Frame, plane::Plane};

/// Messages that may wait for a data plane; the session stops producing when they do.
const QUEUE: usize = 4;

/// The service by hand in place of the generated one, so that its messages can be frames that are encoded once and
/// shared by all streams.
#[derive(Clone)]
pub(super) struct DataPlaneService {
    plane: Plane,
}

impl DataPlaneService {
    pub(super) fn new(plane: Plane) -> Self {
        Self { plane }
    }
}

impl NamedService for DataPlaneService {
    const NAME: &'static str = "balancer.v1.DataPlaneService";
}

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl tower::Service<Request<Body>> for DataPlaneService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sync = Sync { plane: self.plane.clone() };
        Box::pin(async move {
            if request.uri().path() != "/balancer.v1.DataPlaneService/Sync" {
                let message = format!("no such method: {}", request.uri().path());
                return Ok(Status::unimplemented(message).into_http());
            }
            Ok(Grpc::new(FrameCodec).streaming(sync, request).await)
        })
    }
}

struct Sync {
    plane: Plane,
}

impl StreamingService<SyncRequest> for Sync {
    type Response = Frame;
    type ResponseStream = ReceiverStream<Result<Frame, Status>>;
    type Future = Boxed<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: tonic::Request<Streaming<SyncRequest>>) -> Self::Future {
        let plane = self.plane.clone();
        Box::pin(async move {
            let (send, receive) = mpsc::channel(QUEUE);
            tokio::spawn(session::run(plane, request.into_inner(), send));
            Ok(Response::new(ReceiverStream::new(receive)))
        })
    }
}
