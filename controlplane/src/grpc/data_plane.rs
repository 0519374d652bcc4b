//! `DataPlaneService`.

mod codec;
mod greeting;
mod lease;
mod outbox;
mod position;
mod session;
mod told;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use balancer_proto::v1::{LeaseRequest, LeaseResponse, SyncRequest};
use http::Request;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Response, Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};

use tonic_prost::ProstCodec;

use self::codec::FrameCodec;
use crate::{hub::Frame, plane::Plane};

/// Messages that may wait for a data plane; what produces them stops when they do.
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
        let plane = self.plane.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/balancer.v1.DataPlaneService/Sync" => Grpc::new(FrameCodec).streaming(Sync { plane }, request).await,
                "/balancer.v1.DataPlaneService/Lease" => {
                    Grpc::new(ProstCodec::default()).streaming(Lease { plane }, request).await
                }
                other => Status::unimplemented(format!("no such method: {other}")).into_http(),
            })
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

struct Lease {
    plane: Plane,
}

impl StreamingService<LeaseRequest> for Lease {
    type Response = LeaseResponse;
    type ResponseStream = ReceiverStream<Result<LeaseResponse, Status>>;
    type Future = Boxed<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: tonic::Request<Streaming<LeaseRequest>>) -> Self::Future {
        let plane = self.plane.clone();
        Box::pin(async move {
            let (send, receive) = mpsc::channel(QUEUE);
            tokio::spawn(lease::run(plane, request.into_inner(), send));
            Ok(Response::new(ReceiverStream::new(receive)))
        })
    }
}
