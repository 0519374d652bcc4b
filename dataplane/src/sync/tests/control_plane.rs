//! A control plane that does what a test tells it to, on a real socket.

use balancer_proto::v1::{
    Hello, LeaseRequest, LeaseResponse, SyncRequest, SyncResponse, Update, Welcome,
    data_plane_service_server::{DataPlaneService, DataPlaneServiceServer},
    sync_request, sync_response,
};
use http::Uri;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::MetadataMap,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};

/// Accepts streams and hands them to the test.
pub(super) struct ControlPlane {
    pub(super) uri: Uri,
    streams: mpsc::Receiver<Stream>,
}

/// One data plane's stream as the control plane sees it.
pub(super) struct Stream {
    pub(super) metadata: MetadataMap,
    inbound: Streaming<SyncRequest>,
    outbound: mpsc::Sender<Result<SyncResponse, Status>>,
}

struct Service(mpsc::Sender<Stream>);

#[tonic::async_trait]
impl DataPlaneService for Service {
    type SyncStream = ReceiverStream<Result<SyncResponse, Status>>;
    type LeaseStream = ReceiverStream<Result<LeaseResponse, Status>>;

    async fn sync(&self, request: Request<Streaming<SyncRequest>>) -> Result<Response<Self::SyncStream>, Status> {
        let (outbound, receiver) = mpsc::channel(64);
        let (metadata, _, inbound) = request.into_parts();
        let stream = Stream { metadata, inbound, outbound };
        self.0.send(stream).await.map_err(|_| Status::unavailable("the test takes no streams"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn lease(&self, _: Request<Streaming<LeaseRequest>>) -> Result<Response<Self::LeaseStream>, Status> {
        Err(Status::unimplemented("this control plane has no ledger"))
    }
}

impl ControlPlane {
    pub(super) async fn start() -> Self {
        Self::serve("http", Server::builder()).await
    }

    /// Asks for certificates of `clients`.
    pub(super) async fn start_tls(identity: Identity, clients: Certificate) -> Self {
        let tls = ServerTlsConfig::new().identity(identity).client_ca_root(clients);
        Self::serve("https", Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve(scheme: &str, mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, streams) = mpsc::channel(4);
        let serving = server
            .add_service(DataPlaneServiceServer::new(Service(sender)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async { serving.await.unwrap() });
        Self { uri, streams }
    }

    /// The next stream and what its data plane has.
    pub(super) async fn accept(&mut self) -> (Stream, Hello) {
        let mut stream = self.streams.recv().await.unwrap();
        match stream.next().await {
            sync_request::Message::Hello(hello) => (stream, hello),
            other => panic!("the first message is {other:?}"),
        }
    }
}

impl Stream {
    pub(super) async fn send(&self, message: sync_response::Message) {
        self.outbound.send(Ok(SyncResponse { message: Some(message) })).await.unwrap();
    }

    /// What a control plane of the future might say.
    pub(super) async fn send_unknown(&self) {
        self.outbound.send(Ok(SyncResponse { message: None })).await.unwrap();
    }

    pub(super) async fn welcome(&self, heartbeat_ms: u32) {
        self.send(sync_response::Message::Welcome(Welcome { version: "test".into(), heartbeat_ms })).await;
    }

    pub(super) async fn update(&self, update: Update) {
        self.send(sync_response::Message::Update(update)).await;
    }

    pub(super) async fn fail(self, status: Status) {
        self.outbound.send(Err(status)).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> sync_request::Message {
        self.inbound.message().await.unwrap().expect("the stream stands").message.expect("a message")
    }

    /// The next answer to an update, past heartbeats and reports.
    pub(super) async fn answer(&mut self) -> sync_request::Message {
        loop {
            match self.next().await {
                sync_request::Message::Heartbeat(_) | sync_request::Message::Report(_) => {}
                answer => return answer,
            }
        }
    }
}
