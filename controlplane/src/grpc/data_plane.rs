//! `DataPlaneService`.

mod body;
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

use balancer_proto::v1::{LeaseRequest, LeaseResponse};
use http::Request;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Response, Status, Streaming,
    body::Body,
    metadata::GRPC_CONTENT_TYPE,
    server::{Grpc, NamedService, StreamingService},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use self::body::FrameBody;
use crate::plane::Plane;

/// The request header that says how messages are compressed.
const ENCODING: &str = "grpc-encoding";
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
                "/balancer.v1.DataPlaneService/Sync" => sync(plane, request),
                "/balancer.v1.DataPlaneService/Lease" => {
                    Grpc::new(ProstCodec::default()).streaming(Lease { plane }, request).await
                }
                other => Status::unimplemented(format!("no such method: {other}")).into_http(),
            })
        })
    }
}

fn sync(plane: Plane, request: Request<Body>) -> http::Response<Body> {
    if let Some(encoding) = request.headers().get(ENCODING).filter(|encoding| *encoding != "identity") {
        return Status::unimplemented(format!("messages encoded as {encoding:?} are not understood")).into_http();
    }
    let up = Streaming::new_request(ProstDecoder::default(), request.into_body(), None, None);
    let (send, receive) = mpsc::channel(QUEUE);
    tokio::spawn(session::run(plane, up, send));
    let mut response = http::Response::new(Body::new(FrameBody::new(receive)));
    response.headers_mut().insert(http::header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
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
