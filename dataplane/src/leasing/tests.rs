//! The lease's thread and a control plane, over a real socket.

use std::time::{Duration, Instant};

use balancer_proto::v1::{
    LeaseRequest, LeaseResponse, SyncRequest, SyncResponse,
    data_plane_service_server::{DataPlaneService, DataPlaneServiceServer},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::*;
use crate::{fixtures::plane, sync::ControlPlaneTls};

/// Says to everybody that another data plane has the name, and tells the test the name.
struct Namesakes(mpsc::UnboundedSender<String>);

#[tonic::async_trait]
impl DataPlaneService for Namesakes {
    type SyncStream = ReceiverStream<Result<SyncResponse, Status>>;
    type LeaseStream = ReceiverStream<Result<LeaseResponse, Status>>;

    async fn sync(&self, _: Request<Streaming<SyncRequest>>) -> Result<Response<Self::SyncStream>, Status> {
        Err(Status::unimplemented("there is no configuration"))
    }

    async fn lease(&self, up: Request<Streaming<LeaseRequest>>) -> Result<Response<Self::LeaseStream>, Status> {
        let (down, answers) = mpsc::channel(1);
        let (names, mut up) = (self.0.clone(), up.into_inner());
        tokio::spawn(async move {
            let join = up.message().await.unwrap().and_then(|request| request.join);
            names.send(join.unwrap().replica_id).unwrap();
            down.send(Err(Status::already_exists("replica_id: another data plane has it now"))).await.unwrap();
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

async fn namesakes() -> (http::Uri, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (names, named) = mpsc::unbounded_channel();
    let serving = Server::builder()
        .add_service(DataPlaneServiceServer::new(Namesakes(names)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async { serving.await.unwrap() });
    (uri, named)
}

#[tokio::test]
async fn who_always_finds_a_namesake_does_not_ask_in_a_hurry_and_can_be_stopped() {
    let ((uri, mut named), (_holder, shared), stop) = (namesakes().await, plane(), CancellationToken::new());
    shared.leases.set_scope(LimitScope::Global);
    let identity = Identity::new("twin".into());
    let (token, tls, replica_id) = (None, ControlPlaneTls::default(), identity.names());
    let options = SyncOptions { control_planes: vec![uri], token, tls, replica_id: replica_id.clone() };
    let (begun, leased) = (Instant::now(), tokio::spawn(run(options, shared, identity, stop.clone())));
    let mut names = Vec::new();
    while names.len() < 8 {
        names.push(named.recv().await.unwrap());
    }
    // Pauses grow to a second and are drawn by lot: that eight of them are so short together happens once in 10^9 times.
    assert!(begun.elapsed() > Duration::from_millis(100), "{:?}", begun.elapsed());
    stop.cancel();
    leased.await.unwrap();
    assert_eq!(names[0], "twin");
    assert!(names[1..].iter().all(|name| name.len() == "twin-".len() + 8), "{names:?}");
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]) && replica_id.borrow().starts_with("twin-"));
}
